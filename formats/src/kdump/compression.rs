// SPDX-License-Identifier: MIT OR Apache-2.0
//! Compressions of a page, by the flags of its descriptor
//! (`DUMP_DH_COMPRESSED_*` of makedumpfile's diskdump_mod.h).

use std::fmt;
use std::str::FromStr;

pub(super) const ZLIB: u32 = 0x1;
pub(super) const LZO: u32 = 0x2;
pub(super) const SNAPPY: u32 = 0x4;
pub(super) const ZSTD: u32 = 0x20;

/// How the pages of a kdump-compressed image are compressed. A page that does
/// not become smaller is stored as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compression {
    /// Not at all; zero pages are shared nevertheless.
    None,
    /// At its fastest level. Every tool that reads the format has it.
    #[default]
    Zlib,
    /// Faster, and larger. Tools may be built without it.
    Snappy,
    /// At level 1. Tools may be built without it: crash and makedumpfile have it
    /// since 2021.
    Zstd,
}

/// A name that is no compression of this format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no compression of kdump images: use zlib, snappy, zstd or none")]
pub struct CompressionError(String);

const NAMES: [(&str, Compression, u32); 4] = [
    ("none", Compression::None, 0),
    ("zlib", Compression::Zlib, ZLIB),
    ("snappy", Compression::Snappy, SNAPPY),
    ("zstd", Compression::Zstd, ZSTD),
];

impl Compression {
    /// The flag of pages compressed so.
    pub(super) fn flag(self) -> u32 {
        NAMES
            .iter()
            .find_map(|&(_, known, flag)| (known == self).then_some(flag))
            .unwrap_or(0)
    }
}

impl FromStr for Compression {
    type Err = CompressionError;

    fn from_str(text: &str) -> Result<Self, CompressionError> {
        NAMES
            .iter()
            .find_map(|&(name, known, _)| (name == text).then_some(known))
            .ok_or_else(|| CompressionError(text.to_owned()))
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = NAMES
            .iter()
            .find_map(|&(name, known, _)| (known == *self).then_some(name));
        f.write_str(name.unwrap_or("none"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back_as_they_print() {
        for (name, compression, _) in NAMES {
            assert_eq!(name.parse(), Ok(compression));
            assert_eq!(compression.to_string(), name);
        }
        assert!("lzo".parse::<Compression>().is_err());
    }
}
