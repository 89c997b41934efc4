// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why a zstd file cannot be read from the middle.

use linpmem_phys::PhysLen;

/// A zstd file that cannot be read from the middle.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ZstdError {
    /// The file could not be read.
    #[error("reading the zstd file at offset {offset}: {source}")]
    Io {
        /// Where.
        offset: u64,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The bytes are not what the format allows.
    #[error("the zstd file is damaged at offset {offset}: {what}")]
    Damaged {
        /// Where.
        offset: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// A frame too large to be decompressed for the sake of a part of it.
    #[error(
        "the zstd frame at offset {offset} holds {content}, too much to read from the middle: \
         decompress the file with `zstd -d` first"
    )]
    FrameTooLarge {
        /// Where.
        offset: u64,
        /// What it holds.
        content: PhysLen,
    },
    /// A frame that does not tell how much it holds.
    #[error(
        "the zstd frame at offset {offset} does not tell how much it holds, so the file cannot be \
         read from the middle: decompress it with `zstd -d` first"
    )]
    UnknownLength {
        /// Where.
        offset: u64,
    },
    /// More frames than a seek table may list.
    #[error("the zstd file has more than 2^27 frames: decompress it with `zstd -d` first")]
    TooManyFrames,
}
