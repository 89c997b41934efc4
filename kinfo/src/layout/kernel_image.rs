// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where a kernel's image is.

use super::{AARCH64, VirtRange, aarch64, x86_64};
use linpmem_phys::PhysAddr;

/// The position of a kernel's image in physical memory: it leads from the address of a
/// symbol to the memory that holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KernelImage(Placement);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Placement {
    /// Where the image's mapping begins in physical memory; below 0 if memory begins later.
    PhysBase(i64),
    /// What is subtracted from a virtual address.
    VirtOffset(u64),
}

impl KernelImage {
    /// The image of an x86-64 kernel by its `phys_base`: the physical address that
    /// [`START_KERNEL_MAP`](x86_64::START_KERNEL_MAP) would be mapped to. KASLR can
    /// make it negative.
    #[must_use]
    pub const fn x86_64(phys_base: i64) -> Self {
        Self(Placement::PhysBase(phys_base))
    }

    /// The image of an arm64 kernel by its `kimage_voffset`, the difference between virtual
    /// and physical addresses in it.
    #[must_use]
    pub const fn aarch64(kimage_voffset: u64) -> Self {
        Self(Placement::VirtOffset(kimage_voffset))
    }

    /// The physical address of `virt`; `None` if `virt` cannot be in the image, or the result
    /// is not an address.
    #[must_use]
    pub fn phys(&self, virt: u64) -> Option<PhysAddr> {
        match self.0 {
            Placement::PhysBase(phys_base) => {
                if !x86_64::IMAGE.contains(virt) {
                    return None;
                }
                let within = virt.checked_sub(x86_64::IMAGE.start)?;
                within.checked_add_signed(phys_base).map(PhysAddr::new)
            }
            Placement::VirtOffset(offset) => {
                let phys = virt.checked_sub(offset)?;
                let is_possible = AARCH64.kernel_half <= virt && phys >> aarch64::MAX_PA_BITS == 0;
                is_possible.then_some(PhysAddr::new(phys))
            }
        }
    }

    /// Where kernels of the architecture map their image, if that is the same for all.
    const fn mapping(&self) -> Option<VirtRange> {
        match self.0 {
            Placement::PhysBase(_) => Some(x86_64::IMAGE),
            Placement::VirtOffset(_) => None,
        }
    }

    /// The bytes from `virt` to the end of the mapping; `None` outside of it, or if its end
    /// is not known.
    #[must_use]
    pub fn bytes_from(&self, virt: u64) -> Option<u64> {
        let mapping = self.mapping().filter(|mapping| mapping.contains(virt))?;
        mapping.end.checked_sub(virt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn arm64_symbols_are_found_by_the_offset_of_the_image() {
        // Linux 7.3 in QEMU: the image is at 0x40200000.
        let image = KernelImage::aarch64(0xffff_8000_4000_0000);
        assert_eq!(
            image.phys(0xffff_8000_8020_0000),
            Some(PhysAddr::new(0x4020_0000))
        );
        for virt in [0, 0x4020_0000, 0xfff0_0000_0000_0000, 0xffff_8000_3fff_f000] {
            assert_eq!(image.phys(virt), None, "{virt:#x}");
        }
        // An offset that would place it beyond all memory.
        assert_eq!(KernelImage::aarch64(0).phys(0xffff_8000_8020_0000), None);
        assert_eq!(image.bytes_from(0xffff_8000_8020_0000), None);
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
