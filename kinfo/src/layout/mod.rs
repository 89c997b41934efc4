// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where kernels map memory, by architecture.
//!
//! An image is often read on another machine than the one it was taken from, so the
//! architecture is a value here, never that of the machine this program runs on.

pub mod aarch64;
mod kernel_image;
pub mod x86_64;

pub use kernel_image::KernelImage;

/// An architecture whose kernels this project knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Architecture {
    /// 64-bit x86, with 4 or 5 levels of page tables.
    X86_64,
    /// 64-bit Arm, with pages of 4, 16 or 64 KiB.
    Aarch64,
}

/// How a kernel uses virtual addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Layout {
    /// The lowest address of the kernel's half, with as many levels of page tables
    /// as the architecture has. With fewer levels the half begins higher.
    pub kernel_half: u64,
    /// Where the kernel's image is mapped: text, data, and what follows up to the
    /// modules. `None` if kernels choose the place.
    pub image: Option<VirtRange>,
    /// The address of `_text` in a kernel that KASLR has not moved, if all kernels have
    /// the same.
    pub linked_text: Option<u64>,
    /// If RAM begins in the first GiB on every machine: KASLR moves the base of the direct
    /// map by multiples of this.
    pub direct_map_align: Option<u64>,
    /// The sizes of a page that kernels can be built with, in bytes.
    pub page_sizes: &'static [u64],
}

/// A half-open range of virtual addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VirtRange {
    /// The first address.
    pub start: u64,
    /// The address after the last one.
    pub end: u64,
}

/// The layout of x86-64.
pub const X86_64: Layout = x86_64::LAYOUT;
/// The layout of 64-bit Arm.
pub const AARCH64: Layout = aarch64::LAYOUT;

impl Architecture {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::X86_64, Self::Aarch64];

    /// The architecture of ELF files with this `e_machine`.
    #[must_use]
    pub const fn from_elf_machine(machine: u16) -> Option<Self> {
        match machine {
            62 => Some(Self::X86_64),
            183 => Some(Self::Aarch64),
            _ => None,
        }
    }

    /// `e_machine` of its ELF files (`EM_X86_64`, `EM_AARCH64`).
    #[must_use]
    pub const fn elf_machine(self) -> u16 {
        match self {
            Self::X86_64 => 62,
            Self::Aarch64 => 183,
        }
    }

    /// The architecture that uname(2) calls `name`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.name() == name)
    }

    /// Its name, as uname(2) gives it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
        }
    }

    /// Size of `struct elf_prstatus`, the content of a note with the registers of a
    /// processor.
    #[must_use]
    pub const fn registers_bytes(self) -> usize {
        match self {
            Self::X86_64 => 336,
            Self::Aarch64 => 392,
        }
    }

    /// How its kernels use virtual addresses.
    #[must_use]
    pub const fn layout(self) -> &'static Layout {
        match self {
            Self::X86_64 => &X86_64,
            Self::Aarch64 => &AARCH64,
        }
    }
}

/// The name that uname(2) gives.
impl std::fmt::Display for Architecture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl Layout {
    /// How far KASLR moved the kernel whose `_text` is at `text`; `None` if that is below
    /// the address it was linked to, or if kernels are linked to different addresses.
    #[must_use]
    pub fn kaslr_offset(&self, text: u64) -> Option<u64> {
        text.checked_sub(self.linked_text?)
    }

    /// Whether `virt` is in the part of the kernel's half that can hold the direct map:
    /// all of it below the image, if the place of the image is fixed.
    #[must_use]
    pub fn may_be_direct_map(&self, virt: u64) -> bool {
        self.kernel_half <= virt && self.image.is_none_or(|image| virt < image.start)
    }

    /// Where the direct map begins, by the addresses of the kernel's mappings of memory;
    /// `None` if none of them can be the direct map, or if RAM can begin anywhere. Where
    /// it begins in the first GiB, the direct map is the lowest of the mappings.
    #[must_use]
    pub fn inferred_direct_map(&self, mappings: impl IntoIterator<Item = u64>) -> Option<u64> {
        let align = self.direct_map_align?;
        let may_be = |virt: &u64| self.may_be_direct_map(*virt);
        let lowest = mappings.into_iter().filter(may_be).min()?;
        Some(lowest - lowest.checked_rem(align)?)
    }
}

impl VirtRange {
    /// Whether the range contains `addr`.
    #[must_use]
    pub const fn contains(self, addr: u64) -> bool {
        self.start <= addr && addr < self.end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn architectures_are_known_by_their_elf_number_and_name() {
        let x86 = Architecture::from_elf_machine(62).unwrap();
        assert_eq!(x86, Architecture::X86_64);
        assert_eq!(
            Architecture::from_elf_machine(183),
            Some(Architecture::Aarch64)
        );
        assert_eq!(Architecture::from_elf_machine(3), None);
        for known in Architecture::ALL {
            assert_eq!(
                Architecture::from_elf_machine(known.elf_machine()),
                Some(known)
            );
            assert_eq!(Architecture::from_name(&known.to_string()), Some(known));
        }
        assert_eq!(x86.name(), "x86_64");
        assert_eq!(Architecture::from_name("i686"), None);
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
    fn the_linear_map_of_arm64_can_be_anywhere_in_the_kernels_half() {
        let layout = Architecture::Aarch64.layout();
        // 52 and 48 bits; randomised; in the upper half, as before Linux 5.4.
        for base in [
            0xfff0_0000_0000_0000,
            0xffff_0000_0000_0000,
            0xffff_438f_0000_0000,
            0xffff_8000_0000_0000,
        ] {
            assert!(layout.may_be_direct_map(base), "{base:#x}");
        }
        assert!(!layout.may_be_direct_map(0xffef_ffff_ffff_f000));
        // RAM can begin anywhere: the lowest mapping tells nothing.
        assert_eq!(layout.inferred_direct_map([0xffff_0000_0000_0000]), None);
        assert_eq!(layout.kaslr_offset(0xffff_8000_8000_0000), None);
    }

    #[test]
    fn the_lowest_mapping_shows_where_the_direct_map_begins() {
        let base = 0xffff_9a40_4000_0000;
        let image = X86_64.image.unwrap().start;
        let mappings = [0x40_0000, image, base + 0x10_0000, base + 0x1000];
        assert_eq!(X86_64.inferred_direct_map(mappings), Some(base));
        assert_eq!(X86_64.inferred_direct_map([0, image]), None);
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
}
