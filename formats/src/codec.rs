// SPDX-License-Identifier: MIT OR Apache-2.0
//! Compression of an image as a whole.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// How an image is compressed as a whole. Writers do not compress; this only names
/// the method. The program that writes the image cuts the stream into pieces and
/// makes each of them an independent frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Codec {
    /// No compression.
    #[default]
    None,
    /// Independent zstd frames and a seek table, which gives random access
    /// (docs/formats/zstd.md). `zstd -d` decompresses it.
    Zstd {
        /// The level as `zstd` counts: 1 to 22, or a negative number for even faster
        /// compression.
        level: i32,
    },
    /// Independent LZ4 frames (docs/formats/lz4-snappy.md). `lz4 -d` decompresses
    /// them.
    Lz4,
    /// Snappy's framing format (docs/formats/lz4-snappy.md). `snzip -d` decompresses
    /// it.
    Snappy,
}

/// A name that is not a valid compression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// An unknown name.
    #[error("unknown compression `{0}`: use none, zstd, zstd:LEVEL, lz4 or snappy")]
    Unknown(String),
    /// A level that zstd does not have.
    #[error("`{level}` is not a valid zstd level: use {lowest} to -1, or 1 to {highest}")]
    Level {
        /// The text after the colon.
        level: String,
        /// The lowest level.
        lowest: i32,
        /// The highest level.
        highest: i32,
    },
}

impl Codec {
    /// The level if none is given: zstd's own default.
    pub const DEFAULT_ZSTD_LEVEL: i32 = 3;

    /// The levels that zstd accepts; 0 would mean the default.
    const ZSTD_LEVELS: RangeInclusive<i32> = -(1 << 17)..=22;

    /// The compression that a file name extension, without the dot, stands for.
    #[must_use]
    pub fn from_extension(extension: &str) -> Option<Self> {
        Some(match extension {
            "zst" => Self::Zstd {
                level: Self::DEFAULT_ZSTD_LEVEL,
            },
            "lz4" => Self::Lz4,
            "sz" => Self::Snappy,
            _ => return None,
        })
    }

    /// Whether both use the same algorithm, whatever the level.
    #[must_use]
    pub fn is_same_algorithm(self, other: Self) -> bool {
        self.extension() == other.extension()
    }

    /// The file name extension of an image compressed this way, without the dot.
    #[must_use]
    pub const fn extension(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Zstd { .. } => Some("zst"),
            Self::Lz4 => Some("lz4"),
            Self::Snappy => Some("sz"),
        }
    }
}

impl FromStr for Codec {
    type Err = CodecError;

    fn from_str(text: &str) -> Result<Self, CodecError> {
        match text.split_once(':') {
            None if text == "none" => Ok(Self::None),
            None if text == "lz4" => Ok(Self::Lz4),
            None if text == "snappy" => Ok(Self::Snappy),
            None if text == "zstd" => Ok(Self::Zstd {
                level: Self::DEFAULT_ZSTD_LEVEL,
            }),
            Some(("zstd", level)) => {
                let levels = Self::ZSTD_LEVELS;
                match level.parse() {
                    Ok(number) if number != 0 && levels.contains(&number) => {
                        Ok(Self::Zstd { level: number })
                    }
                    _ => Err(CodecError::Level {
                        level: level.to_owned(),
                        lowest: *levels.start(),
                        highest: *levels.end(),
                    }),
                }
            }
            _ => Err(CodecError::Unknown(text.to_owned())),
        }
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Zstd { level } => write!(f, "zstd:{level}"),
            Self::Lz4 => f.write_str("lz4"),
            Self::Snappy => f.write_str("snappy"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back_as_they_print() {
        for text in ["none", "zstd:1", "zstd:22", "zstd:-5", "lz4", "snappy"] {
            assert_eq!(text.parse::<Codec>().unwrap().to_string(), text);
        }
        assert_eq!("zstd".parse(), Ok(Codec::Zstd { level: 3 }));
    }

    #[cfg(feature = "frames")]
    #[test]
    fn the_levels_are_those_of_zstd() {
        assert_eq!(Codec::DEFAULT_ZSTD_LEVEL, zstd::DEFAULT_COMPRESSION_LEVEL);
        assert_eq!(Codec::ZSTD_LEVELS, zstd::compression_level_range());
    }

    #[test]
    fn refuses_other_names_and_levels() {
        for text in [
            "", "gzip", "zstd:", "zstd:0", "zstd:23", "zstd:3:4", "none:1", "ZSTD",
        ] {
            assert!(text.parse::<Codec>().is_err(), "{text}");
        }
    }
}
