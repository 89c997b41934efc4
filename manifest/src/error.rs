// SPDX-License-Identifier: MIT OR Apache-2.0
//! Manifests that cannot be read.

use crate::VERSION;
use crate::lines::MAX_LINE_BYTES;
use linpmem_phys::PhysRange;
use std::io;
use std::path::PathBuf;

/// What to do about a file that is not there.
fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => " (if the manifest is elsewhere, name it with --manifest)",
        _ => "",
    }
}

/// A manifest cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The file cannot be read.
    #[error("{path}: {source}{hint}", hint = hint(.source))]
    Io {
        /// The manifest.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// It ends before its footer, as after a crash. [`Reader`](crate::Reader) still reads what
    /// precedes that.
    #[error(
        "the manifest {path} is truncated after line {lines}: the run that wrote it did not finish"
    )]
    Truncated {
        /// The manifest.
        path: PathBuf,
        /// Complete lines.
        lines: u64,
    },
    /// It has another version.
    #[error(
        "{path}: unsupported manifest version {found} (this program reads {VERSION}); use the \
         linpmem-dump that wrote it"
    )]
    Version {
        /// The manifest.
        path: PathBuf,
        /// Its version.
        found: u64,
    },
    /// A line is damaged.
    #[error(
        "{path}, line {line}: {problem}; the manifest is damaged, or another version of \
         linpmem-dump wrote it"
    )]
    Line {
        /// The manifest.
        path: PathBuf,
        /// Counts from 1.
        line: u64,
        /// What is wrong.
        problem: LineProblem,
    },
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LineProblem {
    /// It is not JSON, or not a valid record.
    #[error("{message} (column {column})")]
    Json {
        /// Counts from 1.
        column: usize,
        /// What was expected, and what was found.
        message: String,
    },
    /// It is too long.
    #[error("the line has more than {MAX_LINE_BYTES} bytes")]
    TooLong,
    /// Another record should be here.
    #[error("{found} is not expected here: {reason}")]
    Unexpected {
        /// The record's name.
        found: &'static str,
        /// Why it is wrong here.
        reason: &'static str,
    },
    /// Chunks that are not whole pages.
    #[error("chunk_bytes is {0}, which is not a multiple of the page size")]
    ChunkBytes(u64),
    /// A range that is out of order.
    #[error("range {found} is here instead of range {expected}")]
    RangeIndex {
        /// The number that it has.
        found: u64,
        /// The number that it should have.
        expected: u64,
    },
    /// Addresses that are not a range, or not above those before them.
    #[error("the addresses {start:#x} to {last:#x} are not a range above those before it")]
    Addresses {
        /// First address.
        start: u64,
        /// Last address.
        last: u64,
    },
    /// More chunks than the range can hold.
    #[error("range {range} has no room for this many chunks")]
    TooManyChunks {
        /// The range.
        range: u64,
    },
    /// A chunk that does not follow the one before it.
    #[error("the chunk at {found} is not the next chunk of range {range}")]
    NotNext {
        /// The range.
        range: u64,
        /// Its addresses.
        found: PhysRange,
    },
    /// An object whose sums are not one for each of its parts.
    #[error("an object of {length} bytes does not have {sums} parts")]
    Parts {
        /// Its length.
        length: u64,
        /// Its sums.
        sums: u64,
    },
    /// Unreadable pages outside of the chunks on the line before.
    #[error("the unreadable pages {found} are not in the chunks on the line before")]
    OutsideChunks {
        /// Their addresses.
        found: PhysRange,
    },
    /// A count that differs from the sum over the lines before.
    #[error("{what} is {found}, but the lines before it add up to {expected}")]
    Count {
        /// The count's name.
        what: &'static str,
        /// What it says.
        found: u64,
        /// What it should say.
        expected: u64,
    },
    /// More than fits in memory.
    #[error("it lists more than {limit} {what}")]
    TooMany {
        /// What there are too many of.
        what: &'static str,
        /// The most that are read.
        limit: usize,
    },
}

impl From<serde_json::Error> for LineProblem {
    fn from(error: serde_json::Error) -> Self {
        let text = error.to_string();
        // serde_json gets a single line, so its line number is always 1.
        let message = match text.rsplit_once(" at line ") {
            Some((message, _)) => message.to_owned(),
            None => text,
        };
        Self::Json {
            column: error.column(),
            message,
        }
    }
}
