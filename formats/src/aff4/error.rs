// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why an AFF4 image cannot be read.

use crate::OverBudget;
use std::io;

/// Why an AFF4 image cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The archive lacks its directory.
    #[error(
        "this volume has no directory at its end: its acquisition did not finish, or it is \
         truncated, and what is left of it does not describe an image"
    )]
    NoDirectory,
    /// The archive is damaged.
    #[error("the zip archive is damaged at offset {offset}: {what}")]
    Zip {
        /// The offset in the file, in bytes.
        offset: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// Two members of the archive are in the same place.
    #[error(
        "the zip archive is damaged or forged: its members {lower} and {upper} share bytes of \
         the file. Get another copy of it"
    )]
    Overlap {
        /// The member that begins first.
        lower: String,
        /// The member that begins within it.
        upper: String,
    },
    /// A member of the archive is damaged.
    #[error("the member {name} {what}")]
    Member {
        /// The name of the member.
        name: String,
        /// What is wrong, as the end of a sentence.
        what: &'static str,
    },
    /// The volume makes the reader hold or do too much.
    #[error(transparent)]
    Budget(#[from] OverBudget),
    /// Something exceeds what is read into memory.
    #[error(
        "the volume has {0}, which no program writes: it is damaged or forged. Get another copy \
         of it"
    )]
    TooLarge(&'static str),
    /// A zip archive that is not an AFF4 volume.
    #[error("this zip archive is not an AFF4 volume: it has no information.turtle")]
    NotAff4,
    /// The description of the objects cannot be parsed.
    #[error("information.turtle is damaged at line {line}: {message}")]
    Turtle {
        /// The line, from 1.
        line: u64,
        /// What is wrong.
        message: String,
    },
    /// A volume whose image is in further volumes as well.
    #[error(
        "this is one volume of a striped image, of which these volumes are missing: {missing}. \
         Give the files of all others with --volume, once for each"
    )]
    Striped {
        /// The names of the missing volumes.
        missing: String,
    },
    /// The volume does not describe an image of memory.
    #[error("this volume has no image: {0}")]
    NoImage(&'static str),
    /// The description of an object is contradictory or incomplete.
    #[error("the object {urn}: {what}")]
    Object {
        /// The URN of the object.
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
