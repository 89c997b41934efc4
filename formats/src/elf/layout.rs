// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where everything lies in an ELF core, known from the plan alone.
//!
//! ```text
//! 0        file header, 64 bytes
//! 64       program headers, 56 bytes each: one PT_NOTE, a PT_LOAD a range or
//!          several ranges with small gaps, and one of the kernel's text
//! …        one section header, 64 bytes, only if there are 65,535 program headers or more
//! …        notes
//! …        zeros up to a page border
//! …        the ranges, back to back, or with zeros in the gaps of a PT_LOAD
//! ```

use super::{evidence, kernel_text, range_note};
use crate::{ImagePlan, MachineFacts, WriteError};
use goblin::elf::header::header64::SIZEOF_EHDR;
use goblin::elf::program_header::program_header64::SIZEOF_PHDR;
use goblin::elf::section_header::section_header64::SIZEOF_SHDR;
use linpmem_phys::{PAGE_SIZE, PhysLen, PhysRange};

/// `e_phnum` when the number of program headers stands in the first section
/// header's `sh_info` instead (elf(5)).
pub(super) const PN_XNUM: u16 = 0xffff;

/// Sizes of the headers, in bytes.
pub(super) const EHDR_BYTES: usize = SIZEOF_EHDR;
pub(super) const PHDR_BYTES: usize = SIZEOF_PHDR;
pub(super) const SHDR_BYTES: usize = SIZEOF_SHDR;

/// The note with the kernel's own description of itself
/// (`VMCOREINFO_NOTE_NAME` in include/linux/vmcore_info.h). Its type is 0.
pub(super) const VMCOREINFO_NAME: &[u8] = b"VMCOREINFO\0";
pub(super) const VMCOREINFO_TYPE: u32 = 0;

/// Where the parts of an ELF core begin, in bytes from its start.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    /// Program headers, the PT_NOTE's included.
    pub(super) program_headers: u32,
    /// The section header that holds the number above, if `e_phnum` cannot.
    pub(super) section_header: Option<u64>,
    pub(super) notes: u64,
    pub(super) notes_bytes: u64,
    /// The data of each range of the plan; whole pages.
    pub(super) data: Vec<u64>,
    /// What becomes a PT_LOAD.
    pub(super) segments: Vec<Segment>,
    /// The kernel's text, once more, under its virtual address.
    pub(super) text: Option<Alias>,
}

/// Addresses that lie in the file in one piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) range: PhysRange,
    pub(super) offset: u64,
}

/// Bytes that lie in a segment as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Alias {
    pub(super) vaddr: u64,
    pub(super) offset: u64,
    pub(super) bytes: u64,
}

impl Layout {
    /// Ranges with less than `merge` between them share a PT_LOAD. `evidence` is
    /// what the note of that name has, in bytes.
    pub(super) fn new(
        plan: &ImagePlan,
        merge: PhysLen,
        evidence: Option<u64>,
    ) -> Result<Self, WriteError> {
        let hulls = hulls(plan, merge);
        let text = kernel_text::place(plan.machine(), &hulls);
        let loads = hulls.len().saturating_add(usize::from(text.is_some()));
        let program_headers = u32::try_from(loads)
            .ok()
            .and_then(|loads| loads.checked_add(1))
            .ok_or_else(|| too_big("its ranges are more than 2^32 - 2"))?;
        let after_headers = u64::from(program_headers)
            .checked_mul(bytes(PHDR_BYTES))
            .and_then(|table| table.checked_add(bytes(EHDR_BYTES)))
            .ok_or_else(|| too_big("its headers pass 2^64 bytes"))?;
        let section_header = (program_headers >= u32::from(PN_XNUM)).then_some(after_headers);
        let notes = match section_header {
            Some(offset) => offset.saturating_add(bytes(SHDR_BYTES)),
            None => after_headers,
        };
        let notes_bytes = notes_bytes(plan.machine(), plan.ranges().len(), evidence)?;
        let mut next = notes
            .checked_add(notes_bytes)
            .and_then(|end| end.checked_next_multiple_of(PAGE_SIZE.get()))
            .ok_or_else(|| too_big("its notes pass 2^64 bytes"))?;
        let mut segments = Vec::with_capacity(hulls.len());
        for range in hulls {
            let offset = next;
            segments.push(Segment { range, offset });
            next = next
                .checked_add(range.len().get())
                .ok_or_else(|| too_big("its data passes 2^64 bytes"))?;
        }
        let text = text.and_then(|text| {
            let segment = segments.get(text.hull)?;
            Some(Alias {
                vaddr: text.vaddr,
                offset: segment.offset.checked_add(text.within)?,
                bytes: text.bytes,
            })
        });
        Ok(Self {
            program_headers,
            section_header,
            notes,
            notes_bytes,
            data: offsets(plan, &segments),
            segments,
            text,
        })
    }
}

/// The plan's ranges, those with less than `merge` between them as one.
fn hulls(plan: &ImagePlan, merge: PhysLen) -> Vec<PhysRange> {
    let mut hulls: Vec<PhysRange> = Vec::with_capacity(plan.ranges().len());
    for planned in plan.ranges() {
        let range = planned.range;
        if let Some(last) = hulls.last_mut() {
            let gap = range.start().checked_sub(last.end());
            if gap.is_some_and(|gap| gap < merge) {
                if let Ok(joined) = PhysRange::new(last.start(), range.end()) {
                    *last = joined;
                    continue;
                }
            }
        }
        hulls.push(range);
    }
    hulls
}

/// Where the data of each range begins.
fn offsets(plan: &ImagePlan, segments: &[Segment]) -> Vec<u64> {
    let mut segments = segments.iter().peekable();
    let offset = |range: PhysRange| {
        while segments.peek()?.range.end() <= range.start() {
            segments.next();
        }
        let segment = segments.peek()?;
        let within = range.start().checked_sub(segment.range.start())?;
        segment.offset.checked_add(within.get())
    };
    let ranges = plan.ranges().iter().map(|planned| planned.range);
    ranges.map_while(offset).collect()
}

/// Bytes of one note: a 12-byte header, name and content padded to 4 bytes each.
pub(super) fn note_bytes(name_bytes: usize, content_bytes: usize) -> Option<u64> {
    let name = bytes(name_bytes).checked_next_multiple_of(4)?;
    let content = bytes(content_bytes).checked_next_multiple_of(4)?;
    name.checked_add(content)?.checked_add(12)
}

fn notes_bytes(
    machine: &MachineFacts,
    ranges: usize,
    evidence: Option<u64>,
) -> Result<u64, WriteError> {
    let vmcoreinfo = match &machine.vmcoreinfo {
        Some(text) => note_bytes(VMCOREINFO_NAME.len(), text.len()),
        None => Some(0),
    };
    let own = range_note::content_bytes(ranges)
        .and_then(|content| note_bytes(range_note::NAME.len(), content));
    let evidence = match evidence {
        Some(len) => evidence::note_bytes(len),
        None => Some(0),
    };
    [vmcoreinfo, own, evidence]
        .into_iter()
        .try_fold(0, |sum: u64, note| sum.checked_add(note?))
        .ok_or_else(|| too_big("its notes pass 2^64 bytes"))
}

/// No count of bytes in memory passes 2^64 on any machine there is.
pub(super) fn bytes(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

pub(super) fn too_big(what: &str) -> WriteError {
    WriteError::Unsupported(format!("an ELF core cannot hold this image: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PlannedRange;
    use linpmem_phys::{PhysAddr, RegionKind};

    fn plan(ranges: u64, vmcoreinfo: Option<Vec<u8>>) -> ImagePlan {
        let planned = (0..ranges).map(|index| PlannedRange {
            range: PhysRange::from_len(PhysAddr::new(index * 0x2000), PhysLen::new(0x1000))
                .unwrap(),
            kind: RegionKind::SystemRam,
        });
        let machine = MachineFacts {
            vmcoreinfo,
            ..MachineFacts::default()
        };
        ImagePlan::new(planned.collect(), machine).unwrap()
    }

    #[test]
    fn notes_come_before_data_and_data_at_page_borders() {
        let layout = Layout::new(
            &plan(2, Some(b"OSRELEASE=7\n".to_vec())),
            PhysLen::ZERO,
            None,
        )
        .unwrap();
        assert_eq!(layout.program_headers, 3);
        assert_eq!(layout.section_header, None);
        assert_eq!(layout.notes, 64 + 3 * 56);
        // 12 + "VMCOREINFO\0" padded to 12 + 12; 12 + 8 + (32 + 2 * 24).
        assert_eq!(layout.notes_bytes, 36 + 100);
        assert_eq!(layout.data, [0x1000, 0x2000]);
    }

    #[test]
    fn the_section_header_appears_where_e_phnum_ends() {
        let last = Layout::new(&plan(65_533, None), PhysLen::ZERO, None).unwrap();
        assert_eq!(last.program_headers, 65_534);
        assert_eq!(last.section_header, None);
        let first = Layout::new(&plan(65_534, None), PhysLen::ZERO, None).unwrap();
        assert_eq!(first.section_header, Some(64 + 65_535 * 56));
        assert_eq!(first.notes, 64 + 65_535 * 56 + 64);
    }

    #[test]
    fn gaps_below_the_limit_are_filled_and_others_not() {
        // A page in every two.
        let plan = plan(4, None);
        let apart = Layout::new(&plan, PhysLen::new(0x1000), None).unwrap();
        assert_eq!(apart.segments.len(), 4);
        let merged = Layout::new(&plan, PhysLen::new(0x1001), None).unwrap();
        assert_eq!(merged.program_headers, 2);
        assert_eq!(merged.segments.len(), 1);
        assert_eq!(merged.segments[0].range.len().get(), 0x7000);
        assert_eq!(merged.data, [0x1000, 0x3000, 0x5000, 0x7000]);
    }

    #[test]
    fn the_kernels_text_lies_in_a_segment() {
        let text = b"SYMBOL(_stext)=ffffffff80001000\nNUMBER(phys_base)=0\n";
        let layout = Layout::new(&plan(2, Some(text.to_vec())), PhysLen::ZERO, None).unwrap();
        assert_eq!(layout.text, None); // there is a gap at 0x1000
        let text = b"SYMBOL(_stext)=ffffffff80002000\nNUMBER(phys_base)=0\n";
        let layout = Layout::new(&plan(2, Some(text.to_vec())), PhysLen::ZERO, None).unwrap();
        assert_eq!(layout.program_headers, 4);
        let alias = layout.text.unwrap();
        assert_eq!((alias.vaddr, alias.bytes), (0xffff_ffff_8000_2000, 0x1000));
        assert_eq!(alias.offset, layout.data[1]);
    }
}
