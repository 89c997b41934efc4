// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a file is, by its first bytes.

use crate::raw;
use std::fmt;

/// A format of images of physical memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// An ELF core file.
    Elf,
    /// Memory and nothing else.
    Raw(raw::Layout),
    /// LiME's records.
    Lime,
    /// AVML's compressed records.
    Avml,
    /// The kernel's compressed crash dump.
    Kdump,
    /// makedumpfile's stream that becomes a crash dump.
    Flattened,
    /// An Advanced Forensic Format 4 volume, or any other zip archive.
    Aff4,
}

/// What the first bytes of a file say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Detected {
    /// An image.
    Image(Format),
    /// Frames of zstd, LZ4 or Snappy, which can be read from the middle.
    Frames,
    /// Something compressed with the program of this name, which is not read here.
    Compressed(&'static str),
}

/// As many first bytes of a file as [`detect`] can use.
pub const DETECT_BYTES: usize = 12;

/// First bytes and what they mean. LiME and AVML: the magic number of the first
/// record, little-endian. Kdump: `KDUMP_SIGNATURE` and `DISK_DUMP_SIGNATURE` of
/// makedumpfile's diskdump_mod.h.
const MAGICS: [(&[u8], Detected); 13] = [
    (b"\x7fELF", Detected::Image(Format::Elf)),
    (b"EMiL", Detected::Image(Format::Lime)),
    (b"AVML", Detected::Image(Format::Avml)),
    (b"KDUMP   ", Detected::Image(Format::Kdump)),
    (b"DISKDUMP", Detected::Image(Format::Kdump)),
    (b"makedumpfile", Detected::Image(Format::Flattened)),
    (b"PK\x03\x04", Detected::Image(Format::Aff4)),
    (b"\x28\xb5\x2f\xfd", Detected::Frames),
    (b"\x1f\x8b", Detected::Compressed("gzip")),
    (b"\xfd7zXZ\0", Detected::Compressed("xz")),
    (b"\x04\x22\x4d\x18", Detected::Frames),
    (b"BZh", Detected::Compressed("bzip2")),
    (b"\xff\x06\x00\x00sNaPpY", Detected::Frames),
];

/// What a file is that begins with `head`; `None` if it has no magic number, as
/// raw images do not.
#[must_use]
pub fn detect(head: &[u8]) -> Option<Detected> {
    MAGICS
        .iter()
        .find_map(|(magic, detected)| head.starts_with(magic).then_some(*detected))
        .or_else(|| is_skippable(head).then_some(Detected::Frames))
}

/// Whether a skippable zstd frame begins here: 16 magic numbers mark those.
fn is_skippable(head: &[u8]) -> bool {
    matches!(head, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..])
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Elf => "ELF core",
            Self::Raw(raw::Layout::Concatenated) => "raw, concatenated",
            Self::Raw(raw::Layout::Padded) => "raw, padded",
            Self::Lime => "LiME",
            Self::Avml => "AVML",
            Self::Kdump => "kdump-compressed",
            Self::Flattened => "makedumpfile, flattened",
            Self::Aff4 => "AFF4",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_magic_is_found_and_fits_in_the_head() {
        for (magic, detected) in MAGICS {
            assert!(magic.len() <= DETECT_BYTES);
            assert_eq!(detect(magic), Some(detected));
            assert_eq!(detect(&magic[..magic.len() - 1]), None);
        }
        assert_eq!(detect(b"\x5e\x2a\x4d\x18"), Some(Detected::Frames));
        assert_eq!(detect(&[0; DETECT_BYTES]), None);
        assert_eq!(detect(b""), None);
    }
}
