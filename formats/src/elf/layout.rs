// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where everything lies in an ELF core, known from the plan alone.
//!
//! ```text
//! 0        file header, 64 bytes
//! 64       program headers, 56 bytes each: one PT_NOTE, then a PT_LOAD a range
//! …        one section header, 64 bytes, only if there are 65,535 program headers or more
//! …        notes
//! …        zeros up to a page border
//! …        the ranges, back to back
//! ```

use super::range_note;
use crate::{ImagePlan, MachineFacts, WriteError};
use goblin::elf::header::header64::SIZEOF_EHDR;
use goblin::elf::program_header::program_header64::SIZEOF_PHDR;
use goblin::elf::section_header::section_header64::SIZEOF_SHDR;
use linpmem_phys::PAGE_SIZE;

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
}

impl Layout {
    pub(super) fn new(plan: &ImagePlan) -> Result<Self, WriteError> {
        let ranges = plan.ranges();
        let program_headers = u32::try_from(ranges.len())
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
        let notes_bytes = notes_bytes(plan.machine(), ranges.len())?;
        let mut next = notes
            .checked_add(notes_bytes)
            .and_then(|end| end.checked_next_multiple_of(PAGE_SIZE.get()))
            .ok_or_else(|| too_big("its notes pass 2^64 bytes"))?;
        let mut data = Vec::with_capacity(ranges.len());
        for planned in ranges {
            data.push(next);
            next = next
                .checked_add(planned.range.len().get())
                .ok_or_else(|| too_big("its data passes 2^64 bytes"))?;
        }
        Ok(Self {
            program_headers,
            section_header,
            notes,
            notes_bytes,
            data,
        })
    }
}

/// Bytes of one note: a 12-byte header, name and content padded to 4 bytes each.
pub(super) fn note_bytes(name_bytes: usize, content_bytes: usize) -> Option<u64> {
    let name = bytes(name_bytes).checked_next_multiple_of(4)?;
    let content = bytes(content_bytes).checked_next_multiple_of(4)?;
    name.checked_add(content)?.checked_add(12)
}

fn notes_bytes(machine: &MachineFacts, ranges: usize) -> Result<u64, WriteError> {
    let vmcoreinfo = match &machine.vmcoreinfo {
        Some(text) => note_bytes(VMCOREINFO_NAME.len(), text.len()),
        None => Some(0),
    };
    let own = range_note::content_bytes(ranges)
        .and_then(|content| note_bytes(range_note::NAME.len(), content));
    vmcoreinfo
        .zip(own)
        .and_then(|(first, second)| first.checked_add(second))
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
    use linpmem_phys::{PhysAddr, PhysLen, PhysRange, RegionKind};

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
        let layout = Layout::new(&plan(2, Some(b"OSRELEASE=7\n".to_vec()))).unwrap();
        assert_eq!(layout.program_headers, 3);
        assert_eq!(layout.section_header, None);
        assert_eq!(layout.notes, 64 + 3 * 56);
        // 12 + "VMCOREINFO\0" padded to 12 + 12; 12 + 8 + (32 + 2 * 24).
        assert_eq!(layout.notes_bytes, 36 + 100);
        assert_eq!(layout.data, [0x1000, 0x2000]);
    }

    #[test]
    fn the_section_header_appears_where_e_phnum_ends() {
        let last = Layout::new(&plan(65_533, None)).unwrap();
        assert_eq!(last.program_headers, 65_534);
        assert_eq!(last.section_header, None);
        let first = Layout::new(&plan(65_534, None)).unwrap();
        assert_eq!(first.section_header, Some(64 + 65_535 * 56));
        assert_eq!(first.notes, 64 + 65_535 * 56 + 64);
    }
}
