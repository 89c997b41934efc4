// SPDX-License-Identifier: MIT OR Apache-2.0
//! What can be wrong with BTF.

use thiserror::Error;

/// Why bytes are no BTF that can be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BtfError {
    /// It does not begin as BTF does.
    #[error("no BTF: it begins with {found:02x?}, not with 9f eb 01 (little endian, version 1)")]
    Magic {
        /// The first bytes.
        found: Vec<u8>,
    },
    /// A section lies outside.
    #[error("the BTF is cut short or damaged: {what} needs {end} bytes, there are {len}")]
    Truncated {
        /// Which part.
        what: &'static str,
        /// Where it would end.
        end: u64,
        /// What there is.
        len: u64,
    },
    /// More than any kernel has.
    #[error("{len} bytes of BTF are more than any kernel has (at most {max})")]
    TooLarge {
        /// What there is.
        len: u64,
        /// What is accepted.
        max: u64,
    },
    /// A kind that this program does not know.
    #[error(
        "type {id} of the BTF is of the unknown kind {kind}: the kernel is newer than this program"
    )]
    Kind {
        /// The type.
        id: u32,
        /// Its kind.
        kind: u32,
    },
    /// A type refers to one that is not there.
    #[error("the BTF refers to the type {id}, and has {count}")]
    NoSuchType {
        /// The missing type.
        id: u32,
        /// How many there are.
        count: u32,
    },
    /// A name that is not in the strings, has no end, or is no text.
    #[error("the BTF has no usable name at {offset:#x} of its strings")]
    Name {
        /// Where it should be.
        offset: u32,
    },
    /// Types refer to each other in a circle, or through more steps than C allows.
    #[error("type {id} of the BTF goes through more than {limit} others")]
    TooDeep {
        /// Where it began.
        id: u32,
        /// The most steps.
        limit: u32,
    },
}
