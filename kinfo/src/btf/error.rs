// SPDX-License-Identifier: MIT OR Apache-2.0
//! What can be wrong with BTF.

use thiserror::Error;

/// Why bytes cannot be used as BTF.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BtfError {
    /// It does not begin with BTF's magic number and version.
    #[error("not BTF: it begins with {found:02x?}, not with 9f eb 01 (little endian, version 1)")]
    Magic {
        /// The first bytes.
        found: Vec<u8>,
    },
    /// A section or a type reaches beyond the end.
    #[error("the BTF is truncated or damaged: {what} needs {end} bytes, there are {len}")]
    Truncated {
        /// Which part.
        what: &'static str,
        /// Where it would end.
        end: u64,
        /// How many bytes there are.
        len: u64,
    },
    /// It is larger than that of any kernel.
    #[error("the BTF has {len} bytes, more than any kernel's (limit {max})")]
    TooLarge {
        /// How many bytes there are.
        len: u64,
        /// The limit.
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
    /// A type refers to one that does not exist.
    #[error("the BTF refers to type {id}, but has only {count} types")]
    NoSuchType {
        /// The missing type.
        id: u32,
        /// How many there are.
        count: u32,
    },
    /// A name outside the strings, without an end, or not text.
    #[error("the BTF has no usable name at {offset:#x} of its strings")]
    Name {
        /// Where it should be.
        offset: u32,
    },
    /// Types refer to each other in a circle, or through more steps than C code has.
    #[error("type {id} of the BTF refers to others through more than {limit} steps")]
    TooDeep {
        /// Where it began.
        id: u32,
        /// The most steps.
        limit: u32,
    },
}
