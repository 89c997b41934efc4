// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why a kdump-compressed image cannot be read.

use crate::OverBudget;

/// Why a kdump-compressed image cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot read the kdump image at offset {offset}: {source}")]
    Io {
        /// The offset in the file, in bytes.
        offset: u64,
        /// The underlying error.
        source: std::io::Error,
    },
    /// A dump of another kind.
    #[error("not a complete kdump-compressed dump of x86-64 or arm64: {0}")]
    NotThisKind(&'static str),
    /// One of the files that hold a dump together.
    #[error(
        "this is one part of a dump that makedumpfile split into several files: put them together \
         with `makedumpfile --reassemble FILE... OUT`, and use OUT"
    )]
    Split,
    /// A structure is beyond the end of the file.
    #[error(
        "the dump is truncated: its {what} take {len} bytes from offset {offset} on, but the file \
         has only {file}; copy it again"
    )]
    BeyondFile {
        /// The structures.
        what: &'static str,
        /// Where they begin, in bytes.
        offset: u64,
        /// Their size in bytes.
        len: u64,
        /// Size of the file in bytes.
        file: u64,
    },
    /// A header contradicts itself.
    #[error("the kdump image is damaged: {0}")]
    Header(&'static str),
    /// The file ends before any page is listed.
    #[error(
        "the dump is cut off: the file ends at offset {file}, before it lists any page, and \
         nothing of its memory is left"
    )]
    NothingLeft {
        /// Size of the file in bytes.
        file: u64,
    },
    /// The dump makes the reader hold or do too much.
    #[error(transparent)]
    Budget(#[from] OverBudget),
    /// The dump holds no page.
    #[error("the dump is empty: it holds no pages")]
    Empty,
}
