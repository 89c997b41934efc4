// SPDX-License-Identifier: MIT OR Apache-2.0
//! 64-bit Arm (Documentation/arch/arm64/memory.rst).
//!
//! Kernels are built for 36, 39, 42, 47, 48 or 52 bits of virtual addresses, and those for
//! 52 use 48 on processors that have no more. The linear map is the lower half of the
//! kernel's addresses, before Linux 5.4 the upper one, and some kernels move it; the image
//! is somewhere in the other half. So no address tells by itself which mapping it is of:
//! VMCOREINFO does (`kimage_voffset`), and the physical addresses in /proc/kcore.

use super::Layout;

/// The bits of a virtual address at most.
pub const MAX_VA_BITS: u32 = 52;
/// The bits of a physical address at most (`CONFIG_ARM64_PA_BITS`).
pub const MAX_PA_BITS: u32 = 52;

pub(super) const LAYOUT: Layout = Layout {
    kernel_half: u64::MAX << MAX_VA_BITS,
    direct_map_align: None,
    image: None,
    linked_text: None,
    page_sizes: &[4 << 10, 16 << 10, 64 << 10],
};

/// Levels of the page tables that translate `va_bits` with pages of `page_bytes`; `None` if
/// the architecture has no such tables.
#[must_use]
pub const fn paging_levels(va_bits: u32, page_bytes: u64) -> Option<u32> {
    let page_shift = match page_bytes {
        0x1000 => 12,
        0x4000 => 14,
        0x1_0000 => 16,
        _ => return None,
    };
    if va_bits <= page_shift || va_bits > MAX_VA_BITS {
        return None;
    }
    // An entry has 8 bytes.
    Some((va_bits - page_shift).div_ceil(page_shift - 3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_follow_from_addresses_and_pages() {
        for (va_bits, page_bytes, levels) in [
            (39, 0x1000, 3),
            (48, 0x1000, 4),
            (52, 0x1000, 5),
            (36, 0x4000, 2),
            (47, 0x4000, 3),
            (48, 0x4000, 4),
            (52, 0x4000, 4),
            (42, 0x1_0000, 2),
            (48, 0x1_0000, 3),
            (52, 0x1_0000, 3),
        ] {
            assert_eq!(
                paging_levels(va_bits, page_bytes),
                Some(levels),
                "{va_bits} {page_bytes:#x}"
            );
        }
        for (va_bits, page_bytes) in [
            (48, 0),
            (48, 0x2000),
            (12, 0x1000),
            (0, 0x1000),
            (64, 0x1000),
        ] {
            assert_eq!(paging_levels(va_bits, page_bytes), None);
        }
    }
}
