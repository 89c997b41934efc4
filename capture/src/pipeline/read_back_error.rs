// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why an image was not read back to its end.

use crate::stop::StopReason;
use linpmem_phys::PhysRange;
use std::io;

/// An image that was not read back to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadBackError {
    /// It was asked to stop. The image is whole nevertheless.
    #[error("{0} while the image was read back from the disk")]
    Stopped(StopReason),
    /// The disk does not give it back.
    #[error(
        "the image was written, but cannot be read back from offset {offset:#x} on: {source}; do not \
         trust this disk, and acquire again to another one"
    )]
    Read {
        /// The first byte of the file that could not be read.
        offset: u64,
        /// The system's reason.
        source: io::Error,
    },
    /// A chunk is not what it was in memory.
    #[error(
        "what the disk has of chunk {number} of range {range}, memory {addresses}, at offset \
         {offset:#x} of the file, is not what was written: do not trust this disk, and acquire again \
         to another one (`verify` lists all chunks that differ)"
    )]
    Chunk {
        /// The range's number.
        range: u64,
        /// The chunk's number in the range.
        number: u64,
        /// Its addresses.
        addresses: PhysRange,
        /// Its first byte in the file.
        offset: u64,
    },
    /// Something else is not what it was.
    #[error(
        "what the disk has of the file from offset {start:#x} on, {what}, is not what was written: do \
         not trust this disk, and acquire again to another one"
    )]
    Outside {
        /// Where the part of the file begins that was compared.
        start: u64,
        /// What of it differs.
        what: &'static str,
    },
    /// No thread could be started.
    #[error("starting a thread: {0}")]
    Thread(#[source] io::Error),
    /// A thread ended without a reason.
    #[error("a thread that read the image back panicked; this is a bug in linpmem-dump")]
    Panicked,
    /// A hash is not what a hash is. This is a bug.
    #[error("hashing the image: {0}")]
    Hash(#[source] io::Error),
}
