// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why a kdump-compressed image cannot be read.

/// A kdump-compressed image that cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file could not be read.
    #[error("reading the kdump image at offset {offset}: {source}")]
    Io {
        /// Where.
        offset: u64,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A dump of another kind.
    #[error("this dump is {0}; only whole kdump-compressed dumps of x86-64 are read")]
    NotThisKind(&'static str),
    /// A compression that is not read.
    #[error(
        "the pages of this dump are compressed with LZO, which is not read here: `makedumpfile -c \
         -d 0 IN OUT` makes a dump with zlib of it"
    )]
    Lzo,
    /// Something lies where the file has no bytes.
    #[error(
        "the {what} of the dump take {len} bytes from offset {offset} on, but the file has only \
         {file}: it is truncated"
    )]
    BeyondFile {
        /// What lies there.
        what: &'static str,
        /// Where it begins.
        offset: u64,
        /// Bytes that it takes.
        len: u64,
        /// Bytes of the file.
        file: u64,
    },
    /// A header that contradicts itself.
    #[error("the kdump image is damaged: {0}")]
    Header(&'static str),
    /// More ranges than are believed.
    #[error("the dump has more than {limit} ranges; so many are not believed")]
    TooManyRanges {
        /// The most that is believed.
        limit: usize,
    },
    /// No page.
    #[error("the dump holds no page")]
    Empty,
}
