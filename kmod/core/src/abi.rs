// SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0
//! The ioctls of /dev/linpmem: numbers and structs, x86-64, little endian.
//!
//! `include/linpmem.h` says the same in C; a test holds the two together.
//!
//! Every struct begins with its own size in bytes as the caller knows it. The
//! module fills at most that much, sets what it does not know to zero and
//! returns the number of bytes it filled there, so that old callers work with
//! new modules and new callers with old ones. The size in an ioctl's number is
//! that of the struct's first version and never changes.

use core::mem::size_of;

/// Version of this ABI. It grows when something is added; nothing is taken away.
pub const ABI_VERSION: u32 = 1;

/// The module's own version: 8 bits major, 8 bits minor, 16 bits patch.
pub const MODULE_VERSION: u32 = 0x0001_0000;

/// The type byte of this ABI's ioctls. The original Linpmem's use `'a'`.
pub const IOCTL_TYPE: u32 = 0xbe;

/// [`Info`], in and out.
pub const IOCTL_INFO: u32 = iowr(0x01, size_of::<Info>());

/// read(2), pread(2) and lseek(2) take physical addresses.
pub const FEATURE_READ: u64 = 1 << 0;

/// [`Info::kaslr_offset`] where the module could not find it out.
pub const UNKNOWN: u64 = u64::MAX;

/// What the module and the machine are. Offsets and sizes in bytes:
///
/// | offset | size | field |
/// |---|---|---|
/// | 0 | 4 | `size` |
/// | 4 | 4 | `abi_version` |
/// | 8 | 8 | `features` |
/// | 16 | 4 | `module_version` |
/// | 20 | 4 | `phys_bits` |
/// | 24 | 4 | `paging_levels` |
/// | 28 | 4 | `reserved` |
/// | 32 | 8 | `page_offset_base` |
/// | 40 | 8 | `phys_base` |
/// | 48 | 8 | `kaslr_offset` |
/// | 56 | 8 | `kernel_page_table` |
/// | 64 | 8 | `vmcoreinfo_addr` |
/// | 72 | 8 | `vmcoreinfo_len` |
/// | 80 | 8 | `encryption_mask` |
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Info {
    /// In: the caller's struct. Out: bytes that the module filled.
    pub size: u32,
    /// [`ABI_VERSION`].
    pub abi_version: u32,
    /// `FEATURE_*` bits.
    pub features: u64,
    /// [`MODULE_VERSION`].
    pub module_version: u32,
    /// Bits of a physical address (`x86_phys_bits`).
    pub phys_bits: u32,
    /// 4 or 5.
    pub paging_levels: u32,
    /// Zero.
    pub reserved: u32,
    /// Virtual address of physical address 0 in the kernel's map of all memory.
    pub page_offset_base: u64,
    /// Where the kernel's text map begins in physical memory, two's complement.
    pub phys_base: u64,
    /// How far the kernel's text was moved from its link address; [`UNKNOWN`]
    /// where the kernel does not tell.
    pub kaslr_offset: u64,
    /// Physical address of the kernel's own top page table; [`UNKNOWN`] where
    /// the kernel does not tell.
    pub kernel_page_table: u64,
    /// Physical address of the VMCOREINFO note; 0 if there is none.
    pub vmcoreinfo_addr: u64,
    /// Bytes that the note may take, its headers and padding included.
    pub vmcoreinfo_len: u64,
    /// The page-table bit that marks encrypted memory (`sme_me_mask`), or 0.
    pub encryption_mask: u64,
}

const _: () = assert!(size_of::<Info>() == 88);

/// Direction, type and number of an ioctl, without the size of its struct.
#[must_use]
pub const fn without_size(cmd: u32) -> u32 {
    cmd & !(0x3fff << 16)
}

/// `_IOWR(IOCTL_TYPE, nr, size)` of include/uapi/asm-generic/ioctl.h.
#[expect(
    clippy::as_conversions,
    reason = "sizes of structs are below 2^14, and From is not const"
)]
const fn iowr(nr: u32, size: usize) -> u32 {
    assert!(size < 1 << 14, "14 bits hold the size");
    3 << 30 | (size as u32) << 16 | IOCTL_TYPE << 8 | nr
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ioctl_numbers_are_those_of_the_c_header() {
        assert_eq!(IOCTL_INFO, 0xc058_be01);
        assert_eq!(without_size(IOCTL_INFO), 0xc000_be01);
    }
}
