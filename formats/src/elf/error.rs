// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why an ELF core cannot be read.

use linpmem_phys::PhysRange;

/// An ELF core that cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file could not be read.
    #[error("reading the ELF core at offset {offset}: {source}")]
    Io {
        /// Where.
        offset: u64,
        /// The system's reason.
        source: std::io::Error,
    },
    /// An ELF file of another kind.
    #[error("this ELF file is {0}; only 64-bit little-endian cores of x86-64 are read")]
    NotThisKind(&'static str),
    /// Something lies where the file has no bytes.
    #[error(
        "the {what} of the ELF core takes {len} bytes from offset {offset} on, but the file has \
         only {file}: it is truncated"
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
    /// More program headers than anyone has memory ranges.
    #[error("the ELF core counts {count} program headers; more than {limit} are not believed")]
    TooManySegments {
        /// What it counts.
        count: u32,
        /// The most that is believed.
        limit: u32,
    },
    /// A header that contradicts itself.
    #[error("the ELF core is damaged: {0}")]
    Header(&'static str),
    /// A segment that contradicts itself.
    #[error("program header {index} of the ELF core is damaged: {what}")]
    Segment {
        /// Its number, from 0.
        index: u32,
        /// What is wrong.
        what: &'static str,
    },
    /// Two segments give different bytes for the same addresses.
    #[error("two segments of the ELF core both claim addresses: {upper} and {lower}")]
    Overlap {
        /// The one that begins first.
        lower: PhysRange,
        /// The one that begins within it.
        upper: PhysRange,
    },
    /// No segment holds memory.
    #[error("the ELF core holds no physical memory")]
    Empty,
}
