// SPDX-License-Identifier: MIT OR Apache-2.0
//! What can be wrong with an AFF4 volume.

use std::io;

/// An AFF4 image that cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file could not be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// No directory at the end.
    #[error(
        "this volume has no directory at its end: its acquisition was never finished, or it is \
         truncated. `linpmem-dump recover` makes a new one from what is there"
    )]
    NoDirectory,
    /// The archive is damaged.
    #[error("the archive is damaged at offset {offset}: {what}")]
    Zip {
        /// Where.
        offset: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// One of its members is damaged.
    #[error("the member {name} {what}")]
    Member {
        /// Its name.
        name: String,
        /// What is wrong, as the end of a sentence.
        what: &'static str,
    },
    /// More than is read into memory.
    #[error("{0} is larger than any real image has it")]
    TooLarge(&'static str),
    /// A zip archive that is no AFF4 volume.
    #[error("this zip archive is no AFF4 volume: it has no information.turtle")]
    NotAff4,
    /// What it says of its objects cannot be parsed.
    #[error("information.turtle, line {line}: {message}")]
    Turtle {
        /// The line, from 1.
        line: u64,
        /// What is wrong.
        message: String,
    },
    /// It describes no image of memory.
    #[error("this volume has no image: {0}")]
    NoImage(&'static str),
    /// What it says of an object makes no sense, or is missing.
    #[error("the object {urn}: {what}")]
    Object {
        /// Its name.
        urn: String,
        /// What is wrong.
        what: String,
    },
}

impl Error {
    pub(super) fn object(urn: &str, what: impl Into<String>) -> Self {
        Self::Object {
            urn: urn.to_owned(),
            what: what.into(),
        }
    }
}
