// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the notes of an ELF core tell.
//!
//! Notes are not memory: a damaged one is told as an oddity, and the memory can
//! still be read.

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
    pub(super) oddities: Vec<String>,
}

/// Bytes of notes that are read, in all segments together. The registers of
/// 8192 processors take 3 MiB, our note 24 bytes a range.
const MAX_NOTES_BYTES: u64 = 64 << 20;

/// Oddities that are told: after so many the reader has understood.
const MAX_ODDITIES: usize = 20;

impl Notes {
    pub(super) fn read(source: &impl ReadAt, segments: &[NoteSegment]) -> Self {
        let mut notes = Self::default();
        let mut budget = MAX_NOTES_BYTES;
        for segment in segments {
            let Some(left) = budget.checked_sub(segment.len) else {
                notes.odd(format!(
                    "the notes at offset {:#x} are not read: there are more than 64 MiB of notes",
                    segment.offset
                ));
                continue;
            };
            budget = left;
            let mut content = vec![0; usize::try_from(segment.len).unwrap_or(0)];
            match source.read_exact_at(segment.offset, &mut content) {
                Ok(()) => notes.take_segment(segment, &content),
                Err(error) => notes.odd(format!(
                    "the notes at offset {:#x} cannot be read: {error}",
                    segment.offset
                )),
            }
        }
        notes
    }

    pub(super) fn odd(&mut self, oddity: String) {
        if self.oddities.len() < MAX_ODDITIES {
            self.oddities.push(oddity);
        }
    }

    fn take_segment(&mut self, segment: &NoteSegment, content: &[u8]) {
        // Anything but 8 means 4: cores have 0, 1, 4 or a page here.
        let align = if segment.align == 8 { 8 } else { 4 };
        let mut at = 0;
        while let Some(rest) = content.get(at..).filter(|rest| !ends(rest)) {
            let Some((note, len)) = Note::first_of(rest, align) else {
                self.odd(format!(
                    "the note at offset {:#x} is cut off",
                    segment.offset.saturating_add(super::layout::bytes(at))
                ));
                return;
            };
            self.take(&note);
            at = at.saturating_add(len);
        }
    }

    fn take(&mut self, note: &Note<'_>) {
        let is = |name: &[u8]| trimmed(note.name) == trimmed(name);
        if is(VMCOREINFO_NAME) {
            if self.vmcoreinfo.is_none() {
                self.vmcoreinfo = Some(note.content.to_vec());
            } else {
                self.odd("there is more than one VMCOREINFO note; the first counts".to_owned());
            }
        } else if is(range_note::NAME) && note.kind == range_note::TYPE {
            match range_note::parse(note.content) {
                Ok(own) => self.own = Some(own),
                Err(what) => self.odd(format!("the LINPMEM note {what}; it is ignored")),
            }
        }
    }
}

struct Note<'a> {
    name: &'a [u8],
    kind: u32,
    content: &'a [u8],
}

impl<'a> Note<'a> {
    const HEADER_BYTES: usize = 12;

    /// The first note, and the bytes that it takes. The last one's padding may be
    /// missing.
    fn first_of(bytes: &'a [u8], align: usize) -> Option<(Self, usize)> {
        let header: Nhdr32 = bytes.pread_with(0, LE).ok()?;
        let name_end = Self::HEADER_BYTES.checked_add(usize::try_from(header.n_namesz).ok()?)?;
        let content_at = name_end.checked_next_multiple_of(align)?;
        let content_end = content_at.checked_add(usize::try_from(header.n_descsz).ok()?)?;
        let note = Self {
            name: bytes.get(Self::HEADER_BYTES..name_end)?,
            kind: header.n_type,
            content: bytes.get(content_at..content_end)?,
        };
        Some((note, content_end.checked_next_multiple_of(align)?))
    }
}

/// Whether no note follows: kernels pad their segments with zeros to a page.
fn ends(rest: &[u8]) -> bool {
    rest.iter().take(Note::HEADER_BYTES).all(|&byte| byte == 0)
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
        assert_eq!(notes.oddities, Vec::<String>::new());
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
        assert_eq!(notes.oddities.len(), 3);
        let segment = NoteSegment {
            offset: 0,
            len: MAX_NOTES_BYTES + 1,
            align: 4,
        };
        assert_eq!(Notes::read(&Vec::new(), &[segment]).oddities.len(), 1);
    }
}
