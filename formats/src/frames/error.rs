// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why a compressed file cannot be read at random.

use crate::OverBudget;
use linpmem_phys::PhysLen;

/// Why a compressed file cannot be read at random.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot read the compressed file at offset {offset}: {source}")]
    Io {
        /// The offset in the file, in bytes.
        offset: u64,
        /// The underlying error.
        source: std::io::Error,
    },
    /// The file violates its format.
    #[error("the compressed file is damaged at offset {offset}: {what}")]
    Damaged {
        /// The offset in the file, in bytes.
        offset: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// A frame too large to decompress for a part of it.
    #[error(
        "the frame at offset {offset} holds {content}, too much for random access: decompress the \
         file first (`zstd -d`, `lz4 -d`)"
    )]
    FrameTooLarge {
        /// Where the frame begins, in bytes.
        offset: u64,
        /// The size of its content.
        content: PhysLen,
    },
    /// A frame that does not say how much it holds.
    #[error(
        "the frame at offset {offset} does not say how much it holds, so that random access is \
         impossible: decompress the file first (`zstd -d`, `lz4 -d`)"
    )]
    UnknownLength {
        /// Where the frame begins, in bytes.
        offset: u64,
    },
    /// The file makes the reader hold too much.
    #[error(transparent)]
    Budget(#[from] OverBudget),
    /// More frames than a seek table may list.
    #[error(
        "the compressed file has more than 2^27 frames: decompress it first (`zstd -d`, `lz4 -d`)"
    )]
    TooManyFrames,
}
