// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where kernels map memory, by architecture.
//!
//! An image is often read on another machine than the one it was taken from, so the
//! architecture is a value here, never that of the machine this program runs on.

use linpmem_phys::PhysAddr;

/// An architecture whose kernels this project knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Architecture {
    /// 64-bit x86, with 4 or 5 levels of page tables.
    X86_64,
}

/// How a kernel uses virtual addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Layout {
    /// The lowest address of the kernel's half, with as many levels of page tables
    /// as the architecture has. With fewer levels the half begins higher.
    pub kernel_half: u64,
    /// KASLR moves the base of the direct map by multiples of this.
    pub direct_map_align: u64,
    /// Where the kernel's image is mapped: text, data, and what follows up to the
    /// modules.
    pub image: VirtRange,
    /// The address of `_text` in a kernel that KASLR has not moved.
    pub linked_text: u64,
}

/// A half-open range of virtual addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VirtRange {
    /// The first address.
    pub start: u64,
    /// The address after the last one.
    pub end: u64,
}

/// x86-64 (Documentation/arch/x86/x86_64/mm.rst).
pub const X86_64: Layout = Layout {
    kernel_half: 0xff00_0000_0000_0000,
    // arch/x86/mm/kaslr.c moves it by whole entries of the second table from the top.
    direct_map_align: 1 << 30,
    image: VirtRange {
        start: x86_64::START_KERNEL_MAP,
        end: x86_64::START_KERNEL_MAP + x86_64::KERNEL_IMAGE_SIZE,
    },
    linked_text: x86_64::START_KERNEL_MAP + x86_64::PHYSICAL_START,
};

/// x86-64's constants under the kernel's names.
pub mod x86_64 {
    /// `__START_KERNEL_map` (arch/x86/include/asm/page_64_types.h): the kernel's
    /// image is mapped from here on, with 4 and with 5 levels of page tables.
    pub const START_KERNEL_MAP: u64 = 0xffff_ffff_8000_0000;
    /// `KERNEL_IMAGE_SIZE` with KASLR: how far that mapping reaches at most. The
    /// modules follow.
    pub const KERNEL_IMAGE_SIZE: u64 = 1 << 30;
    /// The default of `CONFIG_PHYSICAL_START`, which distributions keep: the offset of
    /// `_text` in the image's mapping unless KASLR moves it.
    pub const PHYSICAL_START: u64 = 0x100_0000;
}

impl Architecture {
    /// The architecture of ELF files with this `e_machine`.
    #[must_use]
    pub const fn from_elf_machine(machine: u16) -> Option<Self> {
        match machine {
            62 => Some(Self::X86_64),
            _ => None,
        }
    }

    /// `e_machine` of its ELF files.
    #[must_use]
    pub const fn elf_machine(self) -> u16 {
        match self {
            Self::X86_64 => 62,
        }
    }

    /// Its name, as uname(2) gives it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
        }
    }

    /// How its kernels use virtual addresses.
    #[must_use]
    pub const fn layout(self) -> &'static Layout {
        match self {
            Self::X86_64 => &X86_64,
        }
    }
}

impl Layout {
    /// How far KASLR moved the kernel whose `_text` is at `text`; `None` if that is below
    /// the address it was linked to.
    #[must_use]
    pub const fn kaslr_offset(&self, text: u64) -> Option<u64> {
        text.checked_sub(self.linked_text)
    }

    /// Whether `virt` is in the part of the kernel's half that can hold the direct map:
    /// all of it below the image.
    #[must_use]
    pub const fn may_be_direct_map(&self, virt: u64) -> bool {
        self.kernel_half <= virt && virt < self.image.start
    }

    /// Where the direct map begins, by the addresses of the kernel's mappings of memory;
    /// `None` if none of them can be the direct map. RAM begins in the first GiB on every
    /// machine, and the direct map is the lowest of the mappings.
    #[must_use]
    pub fn inferred_direct_map(&self, mappings: impl IntoIterator<Item = u64>) -> Option<u64> {
        let may_be = |virt: &u64| self.may_be_direct_map(*virt);
        let lowest = mappings.into_iter().filter(may_be).min()?;
        Some(lowest - lowest % self.direct_map_align)
    }
}

impl VirtRange {
    /// Whether the range contains `addr`.
    #[must_use]
    pub const fn contains(self, addr: u64) -> bool {
        self.start <= addr && addr < self.end
    }
}

/// The position of a kernel's image in physical memory: it leads from the address of a
/// symbol to the memory that holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KernelImage {
    mapping: VirtRange,
    /// Where the mapping begins in physical memory; below 0 if memory begins later.
    phys_base: i64,
}

impl KernelImage {
    /// The image of an x86-64 kernel by its `phys_base`: the physical address that
    /// [`START_KERNEL_MAP`](x86_64::START_KERNEL_MAP) would be mapped to. KASLR can
    /// make it negative.
    #[must_use]
    pub const fn x86_64(phys_base: i64) -> Self {
        Self {
            mapping: X86_64.image,
            phys_base,
        }
    }

    /// The physical address of `virt`; `None` if `virt` is outside the image's mapping, or
    /// the result is not an address.
    #[must_use]
    pub fn phys(&self, virt: u64) -> Option<PhysAddr> {
        if !self.mapping.contains(virt) {
            return None;
        }
        let within = virt.checked_sub(self.mapping.start)?;
        within.checked_add_signed(self.phys_base).map(PhysAddr::new)
    }

    /// The bytes from `virt` to the end of the mapping; `None` outside of it.
    #[must_use]
    pub const fn bytes_from(&self, virt: u64) -> Option<u64> {
        if self.mapping.contains(virt) {
            self.mapping.end.checked_sub(virt)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn architectures_are_known_by_their_elf_number() {
        let x86 = Architecture::from_elf_machine(62).unwrap();
        assert_eq!(x86, Architecture::X86_64);
        assert_eq!(Architecture::from_elf_machine(x86.elf_machine()), Some(x86));
        assert_eq!(Architecture::from_elf_machine(3), None);
        assert_eq!(x86.name(), "x86_64");
    }

    #[test]
    fn the_direct_map_lies_below_the_image_with_4_and_with_5_levels() {
        let layout = Architecture::X86_64.layout();
        for base in [0xffff_8880_0000_0000, 0xff11_0000_0000_0000] {
            assert!(layout.may_be_direct_map(base), "{base:#x}");
        }
        for other in [0x7fff_ffff_f000, 0xffff_ffff_8100_0000, u64::MAX] {
            assert!(!layout.may_be_direct_map(other), "{other:#x}");
        }
    }

    #[test]
    fn the_lowest_mapping_shows_where_the_direct_map_begins() {
        let base = 0xffff_9a40_4000_0000;
        let mappings = [
            0x40_0000,
            X86_64.image.start,
            base + 0x10_0000,
            base + 0x1000,
        ];
        assert_eq!(X86_64.inferred_direct_map(mappings), Some(base));
        assert_eq!(X86_64.inferred_direct_map([0, X86_64.image.start]), None);
        assert_eq!(X86_64.inferred_direct_map([]), None);
    }

    #[test]
    fn the_text_shows_how_far_kaslr_moved_it() {
        assert_eq!(X86_64.kaslr_offset(0xffff_ffff_8100_0000), Some(0));
        assert_eq!(
            X86_64.kaslr_offset(0xffff_ffff_9d00_0000),
            Some(0x1c00_0000)
        );
        assert_eq!(X86_64.kaslr_offset(0xffff_ffff_8000_0000), None);
    }

    #[test]
    fn symbols_are_found_in_memory_wherever_kaslr_moved_it() {
        let low = KernelImage::x86_64(-0x1000_0000);
        assert_eq!(
            low.phys(0xffff_ffff_9100_0000),
            Some(PhysAddr::new(0x100_0000))
        );
        let high = KernelImage::x86_64(0xfe00_0000);
        assert_eq!(
            high.phys(0xffff_ffff_8100_0000),
            Some(PhysAddr::new(0xff00_0000))
        );
        assert_eq!(high.bytes_from(0xffff_ffff_8100_0000), Some(0x3f00_0000));
    }

    #[test]
    fn addresses_outside_the_image_have_no_place() {
        let image = KernelImage::x86_64(0);
        for virt in [0, 0x1000, 0xffff_ffff_7fff_ffff, 0xffff_ffff_c000_0000] {
            assert_eq!(image.phys(virt), None, "{virt:#x}");
            assert_eq!(image.bytes_from(virt), None, "{virt:#x}");
        }
        let virt = 0xffff_ffff_8100_0000;
        assert_eq!(KernelImage::x86_64(i64::MIN).phys(virt), None);
        assert!(KernelImage::x86_64(i64::MAX).phys(virt).is_some());
    }
}
