// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why a compressed file cannot be read from the middle.

use linpmem_phys::PhysLen;

/// A compressed file that cannot be read from the middle.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file could not be read.
    #[error("reading the compressed file at offset {offset}: {source}")]
    Io {
        /// Where.
        offset: u64,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The bytes are not what the format allows.
    #[error("the compressed file is damaged at offset {offset}: {what}")]
    Damaged {
        /// Where.
        offset: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// A frame too large to be decompressed for the sake of a part of it.
    #[error(
        "the frame at offset {offset} holds {content}, too much to read from the middle: \
         decompress the file first (`zstd -d`, `lz4 -d`)"
    )]
    FrameTooLarge {
        /// Where.
        offset: u64,
        /// What it holds.
        content: PhysLen,
    },
    /// A frame that does not tell how much it holds.
    #[error(
        "the frame at offset {offset} does not tell how much it holds, so the file cannot be read \
         from the middle: decompress it first (`zstd -d`, `lz4 -d`)"
    )]
    UnknownLength {
        /// Where.
        offset: u64,
    },
    /// More frames than a seek table may list.
    #[error(
        "the compressed file has more than 2^27 frames: decompress it first (`zstd -d`, `lz4 -d`)"
    )]
    TooManyFrames,
}
