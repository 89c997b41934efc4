// SPDX-License-Identifier: MIT OR Apache-2.0
//! Locating the kernel's text by its VMCOREINFO.

use crate::MachineFacts;
use linpmem_phys::PhysRange;

/// The kernel's text, which is in one of several ranges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Text {
    /// The index of the range.
    pub(super) hull: usize,
    /// Where it begins in the range, in bytes from the start of the range.
    pub(super) within: u64,
    pub(super) vaddr: u64,
    pub(super) bytes: u64,
}

/// The kernel's text, data and what follows, up to the end of the mapping or of the
/// range. VMCOREINFO gives its start (`SYMBOL(_stext)`, and `NUMBER(phys_base)`, which
/// can be negative, or `NUMBER(kimage_voffset)`) but not its end.
pub(super) fn place(machine: &MachineFacts, hulls: &[PhysRange]) -> Option<Text> {
    let kernel = machine.kernel()?;
    let vaddr = kernel.symbol("_stext")? & !0xfff;
    let image = kernel.kernel_image()?;
    let start = image.phys(vaddr).filter(|start| start.is_page_aligned())?;
    let known_end = || machine.image_end?.checked_sub(vaddr);
    let left = image.bytes_from(vaddr).or_else(known_end)?;
    let hull = hulls.partition_point(|range| range.end() <= start);
    let range = hulls.get(hull).filter(|range| range.contains(start))?;
    let within = start.checked_sub(range.start())?.get();
    let bytes = range.len().get().checked_sub(within)?.min(left);
    (bytes > 0).then_some(())?;
    Some(Text {
        hull,
        within,
        vaddr,
        bytes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use linpmem_phys::PhysAddr;

    fn at(text: &str) -> Option<Text> {
        let machine = MachineFacts {
            vmcoreinfo: Some(text.as_bytes().to_vec()),
            ..MachineFacts::default()
        };
        let range = |start, end| PhysRange::new(PhysAddr::new(start), PhysAddr::new(end)).unwrap();
        place(&machine, &[range(0, 0x9_f000), range(0x10_0000, 1 << 32)])
    }

    #[test]
    fn text_is_found_wherever_kaslr_moved_it() {
        let text = at("SYMBOL(_stext)=ffffffff91000000\nNUMBER(phys_base)=-268435456\n").unwrap();
        assert_eq!((text.hull, text.within), (1, 0x100_0000 - 0x10_0000));
        assert_eq!(text.bytes, 0xc000_0000 - 0x9100_0000);
        let high = at("SYMBOL(_stext)=ffffffff81000000\nNUMBER(phys_base)=4261412864\n").unwrap();
        assert_eq!(high.within, 0xff00_0000 - 0x10_0000);
        assert_eq!(high.bytes, 0x100_0000);
    }

    #[test]
    fn the_image_of_arm64_is_found_if_its_end_is_known() {
        let text = "SYMBOL(_stext)=ffff800000110000\nNUMBER(kimage_voffset)=0xffff800000000000\n";
        let at = |image_end| {
            let machine = MachineFacts {
                vmcoreinfo: Some(text.as_bytes().to_vec()),
                image_end,
                ..MachineFacts::default()
            };
            let range = PhysRange::new(PhysAddr::new(0x10_0000), PhysAddr::new(0x20_0000));
            place(&machine, &[range.unwrap()])
        };
        let text = at(Some(0xffff_8000_0018_0000)).unwrap();
        assert_eq!((text.within, text.bytes), (0x1_0000, 0x7_0000));
        assert_eq!(text.vaddr, 0xffff_8000_0011_0000);
        // At most to the end of the range.
        let text = at(Some(0xffff_8000_0088_0000)).unwrap();
        assert_eq!(text.bytes, 0xf_0000);
        // What follows the image there is other memory.
        assert_eq!(at(None), None);
        assert_eq!(at(Some(0x18_0000)), None);
        assert_eq!(at(Some(0xffff_8000_0011_0000)), None);
    }

    #[test]
    fn contradictory_text_gives_no_location() {
        for text in [
            "",
            "SYMBOL(_stext)=ffffffff81000000\n",
            "SYMBOL(_stext)=ffffffff81000000\nNUMBER(phys_base)=x\n",
            "SYMBOL(_stext)=1000\nNUMBER(phys_base)=0\n",
            "SYMBOL(_stext)=ffffffff81000000\nNUMBER(phys_base)=-9223372036854775808\n",
            "SYMBOL(_stext)=ffffffff81000000\nNUMBER(phys_base)=9223372036854775807\n",
            "SYMBOL(_stext)=ffffffff81000000\nNUMBER(phys_base)=5\n",
            "SYMBOL(_stext)=fffffffff0000000\nNUMBER(phys_base)=0\n",
        ] {
            assert_eq!(at(text), None, "{text}");
        }
    }
}
