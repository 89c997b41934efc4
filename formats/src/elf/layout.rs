// SPDX-License-Identifier: MIT OR Apache-2.0
//! The layout of an ELF core, which follows from the plan alone.
//!
//! ```text
//! 0        file header, 64 bytes
//! 64       program headers, 56 bytes each: one PT_NOTE; one PT_LOAD per range, or
//!          for several ranges with small gaps; one PT_LOAD for the kernel's text
//! …        one section header, 64 bytes, only for 65,535 or more program headers
//! …        notes
//! …        zeros up to a page boundary
//! …        the ranges, back to back, or with zeros in the gaps of a PT_LOAD
//! …        the archive of artifacts, if they are made when memory has been read
//! ```

use super::{artifacts, kernel_text, range_note};
use crate::{CoreNote, ImagePlan, MachineFacts, WriteError};
use goblin::elf::header::header64::SIZEOF_EHDR;
use goblin::elf::program_header::program_header64::SIZEOF_PHDR;
use goblin::elf::section_header::section_header64::SIZEOF_SHDR;
use linpmem_kinfo::notes::{NoteAlign, NoteHeader, NoteTooLong};
use linpmem_kinfo::vmcoreinfo;
use linpmem_phys::num::usize_as_u64;
use linpmem_phys::{PAGE_SIZE, PhysLen, PhysRange};

/// The value of `e_phnum` that refers to `sh_info` of the first section header for
/// the number of program headers (elf(5)).
pub(super) const PN_XNUM: u16 = 0xffff;

/// Sizes of the headers in bytes.
pub(super) const EHDR_BYTES: usize = SIZEOF_EHDR;
pub(super) const PHDR_BYTES: usize = SIZEOF_PHDR;
pub(super) const SHDR_BYTES: usize = SIZEOF_SHDR;

/// Where the parts of an ELF core begin, in bytes from its start.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    /// The number of program headers, including the PT_NOTE's.
    pub(super) program_headers: u32,
    /// The section header that holds this number, if `e_phnum` cannot hold it.
    pub(super) section_header: Option<u64>,
    pub(super) notes: u64,
    pub(super) notes_bytes: u64,
    /// Where the data of each range of the plan begins, on a page boundary.
    pub(super) data: Vec<u64>,
    /// The PT_LOADs, except for the one of the kernel's text.
    pub(super) segments: Vec<Segment>,
    /// Where the last of them ends.
    pub(super) end: u64,
    /// The kernel's text, once more, at its own virtual address.
    pub(super) text: Option<Alias>,
}

/// Addresses whose data is in the file in one piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) range: PhysRange,
    pub(super) offset: u64,
}

/// Bytes of a segment under another virtual address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Alias {
    pub(super) vaddr: u64,
    pub(super) offset: u64,
    pub(super) bytes: u64,
}

impl Layout {
    /// Ranges with less than `merge` between them share a PT_LOAD. `artifacts` is the
    /// size in bytes of the note of artifacts, if there is one: of the archive, or of the
    /// offset of what follows the memory.
    pub(super) fn new(
        plan: &ImagePlan,
        merge: PhysLen,
        artifacts: Option<u64>,
    ) -> Result<Self, WriteError> {
        let hulls = hulls(plan, merge);
        let text = kernel_text::place(plan.machine(), &hulls);
        let loads = hulls.len() + usize::from(text.is_some());
        let program_headers = u32::try_from(loads)
            .ok()
            .and_then(|loads| loads.checked_add(1))
            .ok_or_else(|| too_big("it has more ranges than a core can count"))?;
        let after_headers =
            usize_as_u64(EHDR_BYTES) + u64::from(program_headers) * usize_as_u64(PHDR_BYTES);
        let section_header = (program_headers >= u32::from(PN_XNUM)).then_some(after_headers);
        let notes = match section_header {
            Some(offset) => offset + usize_as_u64(SHDR_BYTES),
            None => after_headers,
        };
        let notes_bytes = notes_bytes(plan.machine(), plan.ranges().len(), artifacts)?;
        let mut next = notes
            .checked_add(notes_bytes)
            .and_then(|end| end.checked_next_multiple_of(PAGE_SIZE.get()))
            .ok_or_else(|| too_big("its notes would exceed 2^64 bytes"))?;
        let mut segments = Vec::with_capacity(hulls.len());
        for range in hulls {
            let offset = next;
            segments.push(Segment { range, offset });
            next = next
                .checked_add(range.len().get())
                .ok_or_else(|| too_big("it would exceed 2^64 bytes"))?;
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
            data: offsets(plan, &segments)?,
            segments,
            end: next,
            text,
        })
    }
}

/// The ranges of the plan, joined where there is less than `merge` between them.
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
fn offsets(plan: &ImagePlan, segments: &[Segment]) -> Result<Vec<u64>, WriteError> {
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
    ranges
        .map(offset)
        .collect::<Option<Vec<u64>>>()
        .ok_or(WriteError::Misuse("a range is in no segment"))
}

/// Size of all notes together.
fn notes_bytes(
    machine: &MachineFacts,
    ranges: usize,
    artifacts: Option<u64>,
) -> Result<u64, WriteError> {
    let text = machine.vmcoreinfo.as_ref().map(|text| {
        let bytes = usize_as_u64(text.len());
        (vmcoreinfo::NOTE_NAME, vmcoreinfo::NOTE_KIND, bytes)
    });
    let own = (
        range_note::NAME,
        range_note::TYPE,
        range_note::content_bytes(ranges),
    );
    let artifacts = artifacts.map(|bytes| (range_note::NAME, artifacts::TYPE, bytes));
    let ours = text.into_iter().chain([own]).chain(artifacts);
    let ours = ours.map(|(name, kind, bytes)| {
        let header = NoteHeader::new(name, kind, bytes)?;
        Ok(header.padded_bytes(NoteAlign::Four))
    });
    let others = machine.notes.iter().map(CoreNote::padded_bytes);
    ours.chain(others)
        .sum::<Result<u64, NoteTooLong>>()
        .map_err(note_too_long)
}

pub(super) fn note_too_long(error: NoteTooLong) -> WriteError {
    too_big(&error.to_string())
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
