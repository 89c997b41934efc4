// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which segments show the kernel's image at its own virtual addresses. They show memory
//! that is in the direct map as well.

use super::headers::Load;
use linpmem_kinfo::layout::Layout;
use linpmem_kinfo::vmcoreinfo::Vmcoreinfo;
use std::collections::BTreeMap;

/// How such a segment is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ImageMapping {
    /// It is at this virtual address or above.
    From(u64),
    /// This is what its virtual address has more than its physical one.
    Offset(u64),
    /// Its virtual address has more than its physical one, but not this much, as the direct
    /// map has.
    NotOffset(u64),
    /// There is none.
    Nothing,
}

impl ImageMapping {
    /// By the place that kernels of this `layout` have in common, by what the kernel says,
    /// or by what most of the memory has.
    pub(super) fn of(loads: &[Load], layout: &Layout, kernel: Option<Vmcoreinfo<'_>>) -> Self {
        if let Some(image) = layout.image {
            return Self::From(image.start);
        }
        if let Some(offset) = kernel.and_then(Vmcoreinfo::kimage_voffset) {
            return Self::Offset(offset);
        }
        // Sums of sizes of 64 bits.
        let mut votes: BTreeMap<u64, u128> = BTreeMap::new();
        for load in loads {
            if let Some(offset) = offset(load) {
                *votes.entry(offset).or_default() += u128::from(load.stored.get());
            }
        }
        let most = votes.iter().max_by_key(|(_, bytes)| **bytes);
        most.map_or(Self::Nothing, |(&offset, _)| Self::NotOffset(offset))
    }

    /// Whether `load` is such a segment.
    pub(super) fn has(&self, load: &Load) -> bool {
        match *self {
            Self::From(start) => load.vaddr >= start,
            Self::Offset(image) => offset(load) == Some(image),
            Self::NotOffset(direct) => offset(load).is_some_and(|offset| offset != direct),
            Self::Nothing => false,
        }
    }
}

/// What the virtual address has more than the physical one; `None` if it has none: QEMU
/// writes 0 for all.
fn offset(load: &Load) -> Option<u64> {
    load.vaddr
        .checked_sub(load.range.start().get())
        .filter(|&offset| offset > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use linpmem_kinfo::layout::{AARCH64, X86_64};
    use linpmem_phys::{PhysAddr, PhysLen, PhysRange};

    const LINEAR: u64 = 0xffff_4ffe_8000_0000;
    const IMAGE: u64 = 0xffff_8000_4000_0000;

    fn load(offset: u64, start: u64, bytes: u64) -> Load {
        let len = PhysLen::new(bytes);
        Load {
            range: PhysRange::from_len(PhysAddr::new(start), len).unwrap(),
            vaddr: offset + start,
            offset: 0,
            stored: len,
        }
    }

    #[test]
    fn the_image_of_x86_64_is_known_by_its_place() {
        let mapping = ImageMapping::of(&[], &X86_64, None);
        assert!(mapping.has(&load(0xffff_ffff_8000_0000, 0x100_0000, 0x1000)));
        assert!(!mapping.has(&load(0xffff_8880_0000_0000, 0x100_0000, 0x1000)));
    }

    #[test]
    fn the_image_of_arm64_is_known_by_its_offset() {
        let (image, linear) = (
            load(IMAGE, 0x4020_0000, 0x1000),
            load(LINEAR, 0x4000_0000, 0x5000),
        );
        let loads = [image, linear];
        let text = b"NUMBER(kimage_voffset)=0xffff800040000000\n";
        let told = ImageMapping::of(&loads, &AARCH64, Some(Vmcoreinfo::new(text)));
        let voted = ImageMapping::of(&loads, &AARCH64, None);
        for mapping in [told, voted] {
            assert!(mapping.has(&image) && !mapping.has(&linear), "{mapping:?}");
        }
        // A dump without virtual addresses.
        let flat = Load { vaddr: 0, ..linear };
        let mapping = ImageMapping::of(&[flat], &AARCH64, None);
        assert_eq!(
            (mapping, mapping.has(&flat)),
            (ImageMapping::Nothing, false)
        );
    }
}
