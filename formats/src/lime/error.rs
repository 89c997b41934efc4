// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why an image of records, LiME's or AVML's, cannot be read.

use linpmem_phys::PhysRange;

/// An image of LiME's or AVML's records that cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LimeError {
    /// The file could not be read.
    #[error("reading the record at offset {offset}: {source}")]
    Io {
        /// Where the record, or what was read of it, begins.
        offset: u64,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A record that contradicts itself.
    #[error("the record at offset {offset} is damaged: {what}")]
    Record {
        /// Where it begins.
        offset: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// A record that is longer than the file.
    #[error(
        "the record of {range} at offset {offset} reaches beyond the file's {file} bytes: it is \
         truncated"
    )]
    BeyondFile {
        /// Where it begins.
        offset: u64,
        /// Its addresses.
        range: PhysRange,
        /// Bytes of the file.
        file: u64,
    },
    /// More records than anyone has memory ranges.
    #[error("the image has more than {limit} records; so many are not believed")]
    TooManyRecords {
        /// The most that is believed.
        limit: usize,
    },
    /// Two records hold the same addresses.
    #[error("two records both claim addresses: {upper} and {lower}")]
    Overlap {
        /// The one that begins first.
        lower: PhysRange,
        /// The one that begins within it.
        upper: PhysRange,
    },
    /// No record.
    #[error("the image holds no record")]
    Empty,
}
