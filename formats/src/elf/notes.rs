// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reading the notes of an ELF core.
//!
//! A damaged note is only a warning, since the memory can still be read.

use super::artifacts;
use super::headers::NoteSegment;
use super::range_note::{self, RangeNote};
use crate::{CoreNote, ReadAt};
use linpmem_kinfo::notes::{NoteAlign, NoteHeader, trim};
use linpmem_kinfo::vmcoreinfo;
use linpmem_phys::num::{u64_as_usize, usize_as_u64};

/// What the notes say.
#[derive(Debug, Default)]
pub(super) struct Notes {
    pub(super) vmcoreinfo: Option<Vec<u8>>,
    pub(super) own: Option<RangeNote>,
    /// The archive of artifacts: its offset in the file and its size in bytes.
    pub(super) artifacts: Option<(u64, u64)>,
    /// The offset in the file at which such an archive begins that has no note.
    pub(super) tail: Option<u64>,
    /// All others.
    pub(super) others: Vec<CoreNote>,
    pub(super) warnings: Vec<String>,
}

/// The most notes to read, in all segments together. 8192 processors have a few
/// each.
const MAX_NOTES: u32 = 1 << 16;

/// The most bytes of their content to read. linpmem's own note has 24 per range.
const MAX_NOTES_BYTES: u64 = 64 << 20;

/// The names that matter are shorter than this.
const MAX_NAME_BYTES: u64 = 64;

/// The most warnings to keep; more would add nothing.
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
            notes.warn(format!(
                "the core has more than {MAX_NOTES} notes; the rest were ignored"
            ));
        }
        notes
    }

    pub(super) fn warn(&mut self, warning: String) {
        if self.warnings.len() < MAX_WARNINGS {
            self.warnings.push(warning);
        }
    }

    fn take_segment(&mut self, source: &impl ReadAt, segment: &NoteSegment, left: &mut Budget) {
        let align = NoteAlign::of_segment(segment.align);
        let mut at = 0;
        while at < segment.len && left.notes > 0 {
            left.notes -= 1;
            // Segments are within the file: the sum does not overflow.
            let offset = segment.offset + at;
            let note = match Note::at(source, offset, segment.len - at, align) {
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
            at += note.len;
        }
    }

    fn take(&mut self, source: &impl ReadAt, note: &Note, left: &mut Budget) -> Result<(), String> {
        let is = |name: &[u8]| trim(&note.name) == name;
        if is(vmcoreinfo::NOTE_NAME) {
            if self.vmcoreinfo.is_some() {
                let warning = "there is more than one VMCOREINFO note; only the first is used";
                self.warn(warning.to_owned());
                return Ok(());
            }
            self.vmcoreinfo = Some(note.content(source, left)?);
        } else if is(range_note::NAME) && note.kind == range_note::TYPE {
            match range_note::parse(&note.content(source, left)?) {
                Ok(own) => self.own = Some(own),
                Err(what) => self.warn(format!("the LINPMEM note {what} and is ignored")),
            }
        } else if is(range_note::NAME) && note.kind == artifacts::TYPE {
            self.artifacts = self.artifacts.or(Some(note.place));
        } else if is(range_note::NAME) && note.kind == artifacts::TAIL_TYPE {
            let content = note.content(source, left)?;
            let offset = content.first_chunk().copied().map(u64::from_le_bytes);
            let offset = offset.ok_or("is too short for the offset of the artifacts")?;
            self.tail = self.tail.or(Some(offset));
        } else if usize_as_u64(note.name.len()) < MAX_NAME_BYTES {
            self.others.push(CoreNote {
                name: trim(&note.name).to_vec(),
                kind: note.kind,
                content: note.content(source, left)?,
            });
        }
        Ok(())
    }
}

/// What may still be read.
struct Budget {
    notes: u32,
    bytes: u64,
}

struct Note {
    name: Vec<u8>,
    kind: u32,
    /// Where the content is in the file: offset and size in bytes.
    place: (u64, u64),
    /// Size of the whole note, including padding.
    len: u64,
}

impl Note {
    /// The note at `offset`, which takes at most `left` bytes; its own padding may be
    /// missing. `None` if only padding follows.
    fn at(
        source: &impl ReadAt,
        offset: u64,
        left: u64,
        align: NoteAlign,
    ) -> Result<Option<Self>, String> {
        let cut_off = || "is truncated".to_owned();
        let header_bytes = usize_as_u64(NoteHeader::BYTES);
        let mut head = [0; NoteHeader::BYTES];
        let present = u64_as_usize(left.min(header_bytes));
        let (start, _) = head.split_at_mut(present);
        source
            .read_exact_at(offset, start)
            .map_err(|error| format!("cannot be read: {error}"))?;
        // Kernels pad their segments with zeros up to a page boundary.
        if start.iter().all(|&byte| byte == 0) {
            return Ok(None);
        }
        if present < NoteHeader::BYTES {
            return Err(cut_off());
        }
        let Some(header) = NoteHeader::parse(head) else {
            return Ok(None);
        };
        if header.unpadded_bytes(align) > left {
            return Err(cut_off());
        }
        let name_bytes = u64::from(header.name_bytes).min(MAX_NAME_BYTES);
        let mut name = vec![0; u64_as_usize(name_bytes)];
        source
            .read_exact_at(offset + header_bytes, &mut name)
            .map_err(|error| format!("cannot be read: {error}"))?;
        let content = offset + header.content_offset(align);
        Ok(Some(Self {
            name,
            kind: header.kind,
            place: (content, u64::from(header.content_bytes)),
            len: header.padded_bytes(align),
        }))
    }

    fn content(&self, source: &impl ReadAt, left: &mut Budget) -> Result<Vec<u8>, String> {
        let (offset, len) = self.place;
        left.bytes = left
            .bytes
            .checked_sub(len)
            .ok_or("was ignored: there are more than 64 MiB of notes")?;
        let mut content = vec![0; u64_as_usize(len)];
        source
            .read_exact_at(offset, &mut content)
            .map_err(|error| format!("cannot be read: {error}"))?;
        Ok(content)
    }
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
    fn finds_vmcoreinfo_after_others_and_before_padding() {
        let mut bytes = note(b"CORE\0", 1, &[7; 336]);
        bytes.extend(note(b"VMCOREINFO\0", 0, b"OSRELEASE=7.3.4\n"));
        bytes.extend([0; 100]);
        let notes = read(&bytes);
        assert_eq!(notes.vmcoreinfo.unwrap(), b"OSRELEASE=7.3.4\n");
        assert_eq!(notes.warnings, Vec::<String>::new());
        let [registers] = notes.others.as_slice() else {
            panic!("{:?}", notes.others);
        };
        assert!(registers.is_registers());
        assert_eq!(registers.content, [7; 336]);
    }

    #[test]
    fn truncated_and_repeated_notes_are_warned_about() {
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
    fn the_number_of_notes_that_are_read_is_limited() {
        let one = note(b"A\0", 1, b"");
        let notes = read(&one.repeat(1 << 17));
        assert_eq!(notes.warnings.len(), 1);
    }

    #[test]
    fn artifacts_are_found_and_not_read() {
        let mut bytes = note(b"LINPMEM\0", artifacts::TYPE, b"archive");
        bytes.extend(note(b"VMCOREINFO\0", 0, b"x"));
        let notes = read(&bytes);
        assert_eq!(notes.artifacts, Some((20, 7)));
        assert!(notes.vmcoreinfo.is_some());
    }
}
