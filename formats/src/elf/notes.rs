// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the notes of an ELF core tell.
//!
//! Notes are not memory: a damaged one is told as an warning, and the memory can
//! still be read.

use super::evidence;
use super::headers::NoteSegment;
use super::layout::VMCOREINFO_NAME;
use super::range_note::{self, RangeNote};
use crate::ReadAt;
use goblin::elf::note::Nhdr32;
use scroll::{LE, Pread};

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Notes {
    pub(super) vmcoreinfo: Option<Vec<u8>>,
    pub(super) own: Option<RangeNote>,
    /// Where the content of the evidence lies in the file: offset and bytes.
    pub(super) evidence: Option<(u64, u64)>,
    pub(super) warnings: Vec<String>,
}

/// Notes that are looked at, in all segments together. 8192 processors have a few
/// each.
const MAX_NOTES: u32 = 1 << 16;

/// Bytes that are read of them: our own has 24 a range.
const MAX_NOTES_BYTES: u64 = 64 << 20;

/// Names that are looked at are short.
const MAX_NAME_BYTES: u64 = 64;

/// Warnings that are told: after so many the reader has understood.
const MAX_WARNINGS: usize = 20;

impl Notes {
    pub(super) fn read(source: &impl ReadAt, segments: &[NoteSegment]) -> Self {
        let mut notes = Self::default();
        let mut left = Budget {
            notes: MAX_NOTES,
            bytes: MAX_NOTES_BYTES,
        };
        for segment in segments {
            notes.take_segment(source, segment, &mut left);
        }
        if left.notes == 0 {
            notes.warn(format!("only the first {MAX_NOTES} notes are looked at"));
        }
        notes
    }

    pub(super) fn warn(&mut self, warning: String) {
        if self.warnings.len() < MAX_WARNINGS {
            self.warnings.push(warning);
        }
    }

    fn take_segment(&mut self, source: &impl ReadAt, segment: &NoteSegment, left: &mut Budget) {
        // Anything but 8 means 4: cores have 0, 1, 4 or a page here.
        let align = if segment.align == 8 { 8 } else { 4 };
        let mut at = 0;
        while at < segment.len && left.notes > 0 {
            left.notes = left.notes.saturating_sub(1);
            // Segments lie within the file: no sum overflows.
            let offset = segment.offset.saturating_add(at);
            let note = match Note::at(source, offset, segment.len.saturating_sub(at), align) {
                Ok(Some(note)) => note,
                Ok(None) => return,
                Err(what) => {
                    self.warn(format!("the note at offset {offset:#x} {what}"));
                    return;
                }
            };
            if let Err(what) = self.take(source, &note, left) {
                self.warn(format!("the note at offset {offset:#x} {what}"));
            }
            at = at.saturating_add(note.len);
        }
    }

    fn take(&mut self, source: &impl ReadAt, note: &Note, left: &mut Budget) -> Result<(), String> {
        let is = |name: &[u8]| trimmed(&note.name) == trimmed(name);
        if is(VMCOREINFO_NAME) {
            if self.vmcoreinfo.is_some() {
                let warning = "there is more than one VMCOREINFO note; the first counts";
                self.warn(warning.to_owned());
                return Ok(());
            }
            self.vmcoreinfo = Some(note.content(source, left)?);
        } else if is(range_note::NAME) && note.kind == range_note::TYPE {
            match range_note::parse(&note.content(source, left)?) {
                Ok(own) => self.own = Some(own),
                Err(what) => self.warn(format!("the LINPMEM note {what}; it is ignored")),
            }
        } else if is(range_note::NAME) && note.kind == evidence::TYPE {
            self.evidence = self.evidence.or(Some(note.place));
        }
        Ok(())
    }
}

/// What may still be looked at.
struct Budget {
    notes: u32,
    bytes: u64,
}

struct Note {
    name: Vec<u8>,
    kind: u32,
    /// Of the content in the file: offset and bytes.
    place: (u64, u64),
    /// All that it takes, padding included.
    len: u64,
}

impl Note {
    const HEADER_BYTES: usize = 12;

    /// The note at `offset`, of which no more than `left` bytes can be there. None:
    /// nothing but padding follows. The last one's padding may be missing.
    fn at(
        source: &impl ReadAt,
        offset: u64,
        left: u64,
        align: u64,
    ) -> Result<Option<Self>, String> {
        let cut_off = || "is cut off".to_owned();
        let header_bytes = super::layout::bytes(Self::HEADER_BYTES);
        let mut head = [0; Self::HEADER_BYTES];
        let present = usize::try_from(left.min(header_bytes)).unwrap_or(0);
        let (start, _) = head.split_at_mut(present);
        source
            .read_exact_at(offset, start)
            .map_err(|error| format!("cannot be read: {error}"))?;
        // Kernels pad their segments with zeros to a page.
        if start.iter().all(|&byte| byte == 0) {
            return Ok(None);
        }
        if present < Self::HEADER_BYTES {
            return Err(cut_off());
        }
        let header: Nhdr32 = head.pread_with(0, LE).map_err(|_| cut_off())?;
        let (name_bytes, content_bytes) = (u64::from(header.n_namesz), u64::from(header.n_descsz));
        // Three 32-bit numbers: no sum overflows.
        let content_at = header_bytes
            .saturating_add(name_bytes)
            .next_multiple_of(align);
        let end = content_at.saturating_add(content_bytes);
        if end > left {
            return Err(cut_off());
        }
        let mut name = vec![0; usize::try_from(name_bytes.min(MAX_NAME_BYTES)).unwrap_or(0)];
        source
            .read_exact_at(offset.saturating_add(header_bytes), &mut name)
            .map_err(|error| format!("cannot be read: {error}"))?;
        Ok(Some(Self {
            name,
            kind: header.n_type,
            place: (offset.saturating_add(content_at), content_bytes),
            len: end.next_multiple_of(align),
        }))
    }

    fn content(&self, source: &impl ReadAt, left: &mut Budget) -> Result<Vec<u8>, String> {
        let (offset, len) = self.place;
        left.bytes = left
            .bytes
            .checked_sub(len)
            .ok_or("is not read: there are more than 64 MiB of notes")?;
        let mut content = vec![0; usize::try_from(len).unwrap_or(0)];
        source
            .read_exact_at(offset, &mut content)
            .map_err(|error| format!("cannot be read: {error}"))?;
        Ok(content)
    }
}

/// A name without the zero at its end, which some leave out.
fn trimmed(name: &[u8]) -> &[u8] {
    name.strip_suffix(&[0]).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(name: &[u8], kind: u32, content: &[u8]) -> Vec<u8> {
        let mut note = Vec::new();
        for field in [name.len() as u32, content.len() as u32, kind] {
            note.extend_from_slice(&field.to_le_bytes());
        }
        for part in [name, content] {
            note.extend_from_slice(part);
            note.resize(note.len().next_multiple_of(4), 0);
        }
        note
    }

    fn read(bytes: &[u8]) -> Notes {
        let segment = NoteSegment {
            offset: 0,
            len: bytes.len() as u64,
            align: 0,
        };
        Notes::read(&bytes, &[segment])
    }

    #[test]
    fn finds_vmcoreinfo_behind_others_and_before_padding() {
        let mut bytes = note(b"CORE\0", 1, &[7; 336]);
        bytes.extend(note(b"VMCOREINFO\0", 0, b"OSRELEASE=7.3.4\n"));
        bytes.extend([0; 100]);
        let notes = read(&bytes);
        assert_eq!(notes.vmcoreinfo.unwrap(), b"OSRELEASE=7.3.4\n");
        assert_eq!(notes.warnings, Vec::<String>::new());
    }

    #[test]
    fn what_is_cut_off_or_twofold_is_told() {
        let mut bytes = note(b"VMCOREINFO", 0, b"first");
        bytes.extend(note(b"VMCOREINFO\0", 0, b"second"));
        bytes.extend(note(b"LINPMEM\0", range_note::TYPE, &[0; 8]));
        bytes.extend([0xff; 12]);
        let notes = read(&bytes);
        assert_eq!(notes.vmcoreinfo.unwrap(), b"first");
        assert_eq!(notes.own, None);
        assert_eq!(notes.warnings.len(), 3);
        let segment = NoteSegment {
            offset: 0,
            len: 64,
            align: 4,
        };
        assert_eq!(Notes::read(&Vec::new(), &[segment]).warnings.len(), 1);
    }

    #[test]
    fn so_many_notes_as_no_core_has_are_not_all_looked_at() {
        let one = note(b"A\0", 1, b"");
        let notes = read(&one.repeat(1 << 17));
        assert_eq!(notes.warnings.len(), 1);
    }

    #[test]
    fn the_evidence_is_found_and_not_read() {
        let mut bytes = note(b"LINPMEM\0", evidence::TYPE, b"archive");
        bytes.extend(note(b"VMCOREINFO\0", 0, b"x"));
        let notes = read(&bytes);
        assert_eq!(notes.evidence, Some((20, 7)));
        assert!(notes.vmcoreinfo.is_some());
    }
}
