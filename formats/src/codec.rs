// SPDX-License-Identifier: MIT OR Apache-2.0
//! Compressions around a whole image.

use std::fmt;
use std::str::FromStr;

/// How an image is compressed on its way out. The formats know nothing of it:
/// what they write is cut into pieces and each becomes a frame of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Codec {
    /// Not at all.
    #[default]
    None,
    /// Independent zstd frames and a seek table, so that readers need not begin
    /// at the beginning (docs/formats/zstd.md). `zstd -d` reads it as well.
    Zstd {
        /// As `zstd` counts them: 1 to 22, negative ones are faster still.
        level: i32,
    },
    /// Independent LZ4 frames (docs/formats/lz4-snappy.md), which `lz4 -d` reads.
    Lz4,
    /// Snappy's framing format, which `snzip -d` reads.
    Snappy,
}

/// A name that is no compression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// Not a name that is known.
    #[error(
        "`{0}` is no compression that is known here: use none, zstd, zstd:LEVEL, lz4 or snappy"
    )]
    Unknown(String),
    /// A level that zstd does not have.
    #[error("`{level}` is no zstd level: use {lowest} to -1 or 1 to {highest}")]
    Level {
        /// What stood behind the colon.
        level: String,
        /// The lowest level.
        lowest: i32,
        /// The highest level.
        highest: i32,
    },
}

impl Codec {
    /// The level when none is named: zstd's own choice.
    pub const DEFAULT_ZSTD_LEVEL: i32 = zstd::DEFAULT_COMPRESSION_LEVEL;

    /// The compression that a file's ending, without the dot, stands for.
    #[must_use]
    pub fn of_extension(extension: &str) -> Option<Self> {
        Some(match extension {
            "zst" => Self::Zstd {
                level: Self::DEFAULT_ZSTD_LEVEL,
            },
            "lz4" => Self::Lz4,
            "sz" => Self::Snappy,
            _ => return None,
        })
    }

    /// Whether both compress by the same means, if not equally well.
    #[must_use]
    pub fn is_kin(self, other: Self) -> bool {
        self.extension() == other.extension()
    }

    /// What a compressed file's name ends with, without the dot.
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
                let levels = zstd::compression_level_range();
                match level.parse() {
                    // 0 would mean zstd's own choice; one spelling of that is enough.
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

    #[test]
    fn refuses_other_names_and_levels() {
        for text in [
            "", "gzip", "zstd:", "zstd:0", "zstd:23", "zstd:3:4", "none:1", "ZSTD",
        ] {
            assert!(text.parse::<Codec>().is_err(), "{text}");
        }
    }
}
