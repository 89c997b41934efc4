// SPDX-License-Identifier: MIT OR Apache-2.0
//! ELF notes: how cores carry VMCOREINFO and registers, and files their build ids.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 4 | bytes of the name, its zero byte included |
//! | 4 | 4 | bytes of the content |
//! | 8 | 4 | type, which means something only together with the name |
//! | 12 | – | the name, padded |
//! | – | – | the content, padded |
//!
//! Numbers are little-endian 32-bit ones in 64-bit files too: the kernel writes no
//! other. [`Notes`] goes through notes in memory; [`NoteHeader`] is for readers that
//! leave the contents where they are.

use linpmem_phys::num::{u32_as_u64, u32_as_usize, u64_as_usize, usize_as_u64};

/// The owner of a build id, and the note's type (`NT_GNU_BUILD_ID`).
const BUILD_ID: (&[u8], u32) = (b"GNU", 3);

/// What names and contents are padded to a multiple of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NoteAlign {
    /// 4 bytes, as in all cores.
    #[default]
    Four,
    /// 8 bytes, as some property notes in executables.
    Eight,
}

impl NoteAlign {
    /// By a segment's `p_align`. Anything but 8 means 4: cores have 0, 1, 4 or a
    /// page there.
    #[must_use]
    pub const fn of_segment(p_align: u64) -> Self {
        match p_align {
            8 => Self::Eight,
            _ => Self::Four,
        }
    }

    const fn bytes(self) -> u64 {
        match self {
            Self::Four => 4,
            Self::Eight => 8,
        }
    }
}

/// The head of a note.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoteHeader {
    /// Bytes of the name, its zero byte included.
    pub name_bytes: u32,
    /// Bytes of the content.
    pub content_bytes: u32,
    /// The type.
    pub kind: u32,
}

/// A note.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Note<'a> {
    /// Who defines the type: `CORE`, `GNU`, `VMCOREINFO`. Without the zero byte at
    /// its end, which some writers leave out.
    pub name: &'a [u8],
    /// The type.
    pub kind: u32,
    /// The content.
    pub content: &'a [u8],
}

/// Notes, one after another. Ends at the first header of zeros, with which kernels
/// pad their segments, and after the first error.
#[derive(Clone, Copy, Debug)]
pub struct Notes<'a> {
    rest: &'a [u8],
    align: NoteAlign,
    offset: u64,
}

/// A note that claims more bytes than there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the ELF note at offset {offset:#x} of its segment is cut off")]
pub struct NoteCutOff {
    /// Where the note begins, in bytes from the first note.
    pub offset: u64,
}

/// A name or a content that is too long for a note.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{bytes} bytes do not fit an ELF note, which holds less than 4 GiB")]
pub struct NoteTooLong {
    /// What it should hold.
    pub bytes: u64,
}

impl NoteHeader {
    /// Bytes of a header.
    pub const BYTES: usize = 12;

    /// The header in `bytes`; `None` if they are zeros, which are padding after the last
    /// note.
    #[must_use]
    pub fn parse(bytes: [u8; Self::BYTES]) -> Option<Self> {
        let [n0, n1, n2, n3, c0, c1, c2, c3, k0, k1, k2, k3] = bytes;
        (bytes != [0; Self::BYTES]).then_some(Self {
            name_bytes: u32::from_le_bytes([n0, n1, n2, n3]),
            content_bytes: u32::from_le_bytes([c0, c1, c2, c3]),
            kind: u32::from_le_bytes([k0, k1, k2, k3]),
        })
    }

    /// The header of a note with the name `name`, given without a zero byte at its
    /// end, and a content of `content_bytes`.
    ///
    /// # Errors
    /// If either does not fit.
    pub fn new(name: &[u8], kind: u32, content_bytes: u64) -> Result<Self, NoteTooLong> {
        // The zero byte counts; a note without a name has none. No slice has 2^63
        // bytes.
        let zero = u64::from(!name.is_empty());
        let name_bytes = usize_as_u64(name.len()) + zero;
        let fit = |bytes| u32::try_from(bytes).map_err(|_| NoteTooLong { bytes });
        Ok(Self {
            name_bytes: fit(name_bytes)?,
            content_bytes: fit(content_bytes)?,
            kind,
        })
    }

    /// The header in the form in which files have it.
    #[must_use]
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let [n0, n1, n2, n3] = self.name_bytes.to_le_bytes();
        let [c0, c1, c2, c3] = self.content_bytes.to_le_bytes();
        let [k0, k1, k2, k3] = self.kind.to_le_bytes();
        [n0, n1, n2, n3, c0, c1, c2, c3, k0, k1, k2, k3]
    }

    // Sums of three 32-bit numbers fit 64 bits.

    /// Where the content begins, in bytes from the header's start.
    #[must_use]
    pub const fn content_offset(self, align: NoteAlign) -> u64 {
        let name_end = 12 + u32_as_u64(self.name_bytes);
        name_end.next_multiple_of(align.bytes())
    }

    /// Bytes of the note without the padding after its content, which the last note of a
    /// segment may lack.
    #[must_use]
    pub const fn unpadded_bytes(self, align: NoteAlign) -> u64 {
        self.content_offset(align) + u32_as_u64(self.content_bytes)
    }

    /// Bytes from the header's start to where the next note begins.
    #[must_use]
    pub const fn padded_bytes(self, align: NoteAlign) -> u64 {
        self.unpadded_bytes(align).next_multiple_of(align.bytes())
    }
}

impl<'a> Notes<'a> {
    /// The notes in `bytes`, padded to 4 bytes.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self::with_align(bytes, NoteAlign::Four)
    }

    /// The notes in `bytes`, padded as `align` says.
    #[must_use]
    pub const fn with_align(bytes: &'a [u8], align: NoteAlign) -> Self {
        Self {
            rest: bytes,
            align,
            offset: 0,
        }
    }

    const fn cut_off(&self) -> NoteCutOff {
        NoteCutOff {
            offset: self.offset,
        }
    }

    /// The note with this header at the start of what is left.
    fn first(&self, header: NoteHeader) -> Option<Note<'a>> {
        let content = header.content_offset(self.align)..header.unpadded_bytes(self.align);
        let content = u64_as_usize(content.start)..u64_as_usize(content.end);
        let (_, name) = self.rest.split_at_checked(NoteHeader::BYTES)?;
        Some(Note {
            name: trim(name.get(..u32_as_usize(header.name_bytes))?),
            kind: header.kind,
            content: self.rest.get(content)?,
        })
    }
}

impl<'a> Iterator for Notes<'a> {
    type Item = Result<Note<'a>, NoteCutOff>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = std::mem::take(&mut self.rest);
        let header = match rest.split_first_chunk() {
            Some((header, _)) => NoteHeader::parse(*header)?,
            // Less than a header: padding, or one that is cut off.
            None if rest.iter().all(|&byte| byte == 0) => return None,
            None => return Some(Err(self.cut_off())),
        };
        let notes = Self { rest, ..*self };
        let Some(note) = notes.first(header) else {
            return Some(Err(self.cut_off()));
        };
        let bytes = header.padded_bytes(self.align);
        self.rest = rest.get(u64_as_usize(bytes)..).unwrap_or_default();
        // At most the length of the slice and some padding.
        self.offset += bytes;
        Some(Ok(note))
    }
}

/// A name without the zero byte at its end, which some writers leave out.
#[must_use]
pub fn trim(name: &[u8]) -> &[u8] {
    name.strip_suffix(&[0]).unwrap_or(name)
}

/// The build id among `notes`, as in /sys/kernel/notes. Damage before it ends the
/// search.
#[must_use]
pub fn build_id(notes: Notes<'_>) -> Option<&[u8]> {
    notes
        .map_while(Result::ok)
        .find(|note| (note.name, note.kind) == BUILD_ID)
        .map(|note| note.content)
}

/// Adds a note, padded to 4 bytes, to `target`, whose length is a multiple of 4.
///
/// # Errors
/// If the name or the content does not fit; `target` is as before then.
pub fn append(
    target: &mut Vec<u8>,
    name: &[u8],
    kind: u32,
    content: &[u8],
) -> Result<(), NoteTooLong> {
    append_head(target, name, kind, usize_as_u64(content.len()))?;
    target.extend_from_slice(content);
    pad(target);
    Ok(())
}

/// Adds a note up to where its content of `content_bytes` begins, for contents that
/// are written elsewhere.
///
/// # Errors
/// As [`append`].
pub fn append_head(
    target: &mut Vec<u8>,
    name: &[u8],
    kind: u32,
    content_bytes: u64,
) -> Result<(), NoteTooLong> {
    let header = NoteHeader::new(name, kind, content_bytes)?;
    target.extend_from_slice(&header.to_bytes());
    target.extend_from_slice(name);
    if !name.is_empty() {
        target.push(0);
    }
    pad(target);
    Ok(())
}

fn pad(target: &mut Vec<u8>) {
    target.resize(target.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn notes(all: &[(&[u8], u32, &[u8])]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (name, kind, content) in all {
            append(&mut bytes, name, *kind, content).unwrap();
        }
        bytes
    }

    fn read(bytes: &[u8]) -> Vec<Note<'_>> {
        Notes::new(bytes).map(Result::unwrap).collect()
    }

    #[test]
    fn what_is_written_is_read() {
        let all: [(&[u8], u32, &[u8]); 4] = [
            (b"CORE", 1, &[7; 336]),
            (b"", 9, b"x"),
            (b"GNU", 3, &[1, 0xab, 0xcd]),
            (b"VMCOREINFO", 0, b""),
        ];
        let bytes = notes(&all);
        let found: Vec<_> = read(&bytes)
            .iter()
            .map(|note| (note.name, note.kind, note.content))
            .collect();
        assert_eq!(found, all);
        assert_eq!(build_id(Notes::new(&bytes)), Some(&[1, 0xab, 0xcd][..]));
    }

    #[test]
    fn names_may_lack_their_zero_byte() {
        let mut bytes = notes(&[(b"ABC", 5, b"x")]);
        bytes[0] = 3;
        assert_eq!(read(&bytes)[0].name, b"ABC");
    }

    #[test]
    fn padding_ends_the_notes_and_the_last_may_lack_its_own() {
        let mut bytes = notes(&[(b"A", 1, b"content")]);
        bytes.truncate(bytes.len() - 1);
        assert_eq!(read(&bytes).len(), 1);
        for zeros in [1, 4, 11, 12, 100] {
            let mut padded = notes(&[(b"A", 1, b"x")]);
            padded.extend(vec![0; zeros]);
            assert_eq!(read(&padded).len(), 1, "{zeros}");
        }
        assert_eq!(read(&[]), []);
    }

    #[test]
    fn every_cut_is_noticed_and_ends_the_notes() {
        let whole = notes(&[(b"A", 1, b"content")]);
        for len in 1..whole.len() - 1 {
            let mut cut = Notes::new(&whole[..len]);
            assert_eq!(cut.next(), Some(Err(NoteCutOff { offset: 0 })), "{len}");
            assert_eq!(cut.next(), None, "{len}");
        }
        let mut second = notes(&[(b"A", 1, b"content")]);
        second.extend([0xff; 12]);
        let found: Vec<_> = Notes::new(&second).collect();
        assert_eq!(found[1], Err(NoteCutOff { offset: 24 }));
        assert_eq!(found.len(), 2);
    }

    #[test]
    fn some_notes_are_padded_to_8_bytes() {
        // Name of 4 bytes: at 12, content at 16. Content of 4: padded to 24.
        let mut bytes = Vec::new();
        for word in [4_u32, 4, 5, u32::from_le_bytes(*b"GNU\0"), 0x1111_1111, 0] {
            bytes.extend(word.to_le_bytes());
        }
        bytes.extend(notes(&[(b"A", 1, b"")]));
        let align = NoteAlign::of_segment(8);
        let found: Vec<_> = Notes::with_align(&bytes, align)
            .map(Result::unwrap)
            .collect();
        assert_eq!(found.len(), 2);
        assert_eq!(
            (found[0].content, found[1].name),
            (&[0x11; 4][..], &b"A"[..])
        );
        assert_eq!(NoteAlign::of_segment(0), NoteAlign::Four);
        assert_eq!(NoteAlign::of_segment(4096), NoteAlign::Four);
    }

    #[test]
    fn headers_say_where_everything_lies() {
        let header = NoteHeader::new(b"VMCOREINFO", 0, 30).unwrap();
        assert_eq!(header.name_bytes, 11);
        assert_eq!(header.content_offset(NoteAlign::Four), 24);
        assert_eq!(header.unpadded_bytes(NoteAlign::Four), 54);
        assert_eq!(header.padded_bytes(NoteAlign::Four), 56);
        assert_eq!(NoteHeader::parse(header.to_bytes()), Some(header));
        assert_eq!(NoteHeader::parse([0; 12]), None);
        let largest = NoteHeader::parse([0xff; 12]).unwrap();
        assert_eq!(largest.padded_bytes(NoteAlign::Eight), 0x2_0000_0010);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let too_long = NoteHeader::new(b"A", 1, 1 << 32).unwrap_err();
        assert_eq!(too_long, NoteTooLong { bytes: 1 << 32 });
        assert!(NoteHeader::new(b"A", 1, (1 << 32) - 1).is_ok());
    }

    proptest! {
        /// Whatever the bytes, the search ends and stays within them.
        #[test]
        fn any_bytes_are_notes_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            for align in [NoteAlign::Four, NoteAlign::Eight] {
                let found: Vec<_> = Notes::with_align(&bytes, align).collect();
                prop_assert!(found.len() <= bytes.len() / NoteHeader::BYTES + 1);
                let errors = found.iter().filter(|note| note.is_err()).count();
                prop_assert!(errors == 0 || errors == 1 && found[found.len() - 1].is_err());
            }
            let _ = build_id(Notes::new(&bytes));
        }
    }
}
