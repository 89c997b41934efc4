// SPDX-License-Identifier: MIT OR Apache-2.0
//! Recognising a file by its first bytes.

use crate::foreign::{self, Foreign};
use crate::raw_layout::RawLayout;
use std::fmt;

/// A format of images of physical memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// An ELF core file.
    Elf,
    /// Memory without any header.
    Raw(RawLayout),
    /// LiME's records.
    Lime,
    /// AVML's compressed records.
    Avml,
    /// The kernel's compressed crash dump.
    Kdump,
    /// makedumpfile's flattened stream of a crash dump.
    Flattened,
    /// An Advanced Forensic Format 4 volume. Any other zip archive looks the same.
    Aff4,
}

/// What the first bytes of a file identify.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Detected {
    /// An image.
    Image(Format),
    /// Frames of zstd, LZ4 or Snappy, which allow random access.
    Frames,
    /// A file compressed by the program of this name, which this crate does not
    /// read.
    Compressed(&'static str),
    /// A file of memory that this crate does not read.
    Foreign(Foreign),
}

/// How many bytes from the start of a file [`detect`] needs, at most.
pub const DETECT_BYTES: usize = 16;

/// First bytes and what they identify. LiME and AVML: the magic number of the first
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

/// Identifies a file that begins with `head`, whether or not this build can read
/// it. `None` if there is no known magic number, as in raw images. Needs no more
/// than [`DETECT_BYTES`] bytes; fewer are enough for a file that is shorter.
#[must_use]
pub fn detect(head: &[u8]) -> Option<Detected> {
    MAGICS
        .iter()
        .find_map(|(magic, detected)| head.starts_with(magic).then_some(*detected))
        .or_else(|| {
            let mut known = foreign::MAGICS.iter();
            known.find_map(|(magic, foreign)| {
                head.starts_with(magic)
                    .then_some(Detected::Foreign(*foreign))
            })
        })
        .or_else(|| is_skippable(head).then_some(Detected::Frames))
}

/// Whether a skippable zstd frame begins here; 16 magic numbers mark those.
fn is_skippable(head: &[u8]) -> bool {
    matches!(head, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..])
}

impl Format {
    /// The Cargo feature of this crate that supports the format.
    #[must_use]
    pub const fn feature(self) -> &'static str {
        match self {
            Self::Elf => "elf",
            Self::Raw(_) => "raw",
            Self::Lime => "lime",
            Self::Avml => "avml",
            Self::Kdump | Self::Flattened => "kdump",
            Self::Aff4 => "aff4",
        }
    }

    /// Whether this build supports the format, that is, whether its
    /// [`feature`](Self::feature) is on.
    #[must_use]
    pub const fn is_supported(self) -> bool {
        match self {
            Self::Elf => cfg!(feature = "elf"),
            Self::Raw(_) => cfg!(feature = "raw"),
            Self::Lime => cfg!(feature = "lime"),
            Self::Avml => cfg!(feature = "avml"),
            Self::Kdump | Self::Flattened => cfg!(feature = "kdump"),
            Self::Aff4 => cfg!(feature = "aff4"),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Elf => "ELF core",
            Self::Raw(RawLayout::Concatenated) => "raw, concatenated",
            Self::Raw(RawLayout::Padded) => "raw, padded",
            Self::Lime => "LiME",
            Self::Avml => "AVML",
            Self::Kdump => "kdump-compressed",
            Self::Flattened => "flattened kdump",
            Self::Aff4 => "AFF4",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_magic_is_found_and_fits_in_the_head() {
        let foreign = foreign::MAGICS.map(|(magic, foreign)| (magic, Detected::Foreign(foreign)));
        for (magic, detected) in MAGICS.into_iter().chain(foreign) {
            assert!(magic.len() <= DETECT_BYTES);
            assert_eq!(detect(magic), Some(detected));
            assert_eq!(detect(&magic[..magic.len() - 1]), None);
        }
        assert_eq!(detect(b"\x5e\x2a\x4d\x18"), Some(Detected::Frames));
        assert_eq!(detect(&[0; DETECT_BYTES]), None);
        assert_eq!(detect(b""), None);
    }
}
