// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a check of an image's hashes finds.

use super::HashAlgorithm;
use std::fmt;

/// A hash that an image states, and whether it is right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// Of what it is.
    pub level: Level,
    /// The object, or the member of the archive.
    pub object: String,
    /// The algorithm; `None` for the archive's CRC-32.
    pub algorithm: Option<HashAlgorithm>,
    /// What came out.
    pub verdict: Verdict,
}

/// Of what a hash is, from the bytes of the file up to the whole image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Level {
    /// A member of the archive.
    Member,
    /// The chunks of a stream, each.
    Chunks,
    /// The hashes of a stream's chunks.
    ChunkHashes,
    /// The indexes of a stream.
    Indexes,
    /// All bytes of a stream.
    Stream,
    /// The entries of a map, its list of streams, its path; or all of them.
    Map,
    /// A map and the hashes of the chunks below it.
    BlockMap,
    /// All addresses, holes included.
    Linear,
    /// The image: its maps.
    Image,
    /// A file beside the memory.
    File,
}

/// Whether a hash is right.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// It is.
    Right,
    /// It is not; what differs.
    Wrong(String),
    /// That could not be found out; why.
    Unknown(String),
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Member => "member",
            Self::Chunks => "chunks",
            Self::ChunkHashes => "chunk hashes",
            Self::Indexes => "indexes",
            Self::Stream => "stream",
            Self::Map => "map",
            Self::BlockMap => "block map",
            Self::Linear => "linear",
            Self::Image => "image",
            Self::File => "file",
        })
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Right => f.write_str("right"),
            Self::Wrong(what) => write!(f, "WRONG: {what}"),
            Self::Unknown(why) => write!(f, "not checked: {why}"),
        }
    }
}
