// SPDX-License-Identifier: MIT OR Apache-2.0
//! What contradicts itself in memory that was read while the machine ran.

use crate::error::Error;
use thiserror::Error as Display;

/// Something that a walk met and that should not be so.
#[derive(Clone, Debug, PartialEq, Eq, Display)]
#[non_exhaustive]
pub enum Trouble {
    /// A link leads to an element that does not lead back.
    #[error(
        "{what}: torn between {at:#x} and {next:#x}, which leads back to {back:#x} (the list was \
         changed while it was read)"
    )]
    Torn {
        /// The list.
        what: &'static str,
        /// The address of the link.
        at: u64,
        /// Where it leads.
        next: u64,
        /// Where that one leads back.
        back: u64,
    },
    /// A link leads to an element that was there already.
    #[error("{what}: runs in a circle at {at:#x}")]
    Circle {
        /// The list or tree.
        what: &'static str,
        /// The element.
        at: u64,
    },
    /// There are more elements than any kernel has.
    #[error("{what}: more than {limit} elements; the rest is left out")]
    TooMany {
        /// The list or tree.
        what: &'static str,
        /// The most that are followed.
        limit: usize,
    },
    /// There is more than is kept in memory.
    #[error("{what}: more than the {limit} bytes that there is room for; the rest is left out")]
    TooLong {
        /// What they are of.
        what: &'static str,
        /// The most that are read.
        limit: u64,
    },
    /// A link leads to something that is no such element.
    #[error("{what}: at {at:#x} there is {value:#x}, which is none of its elements")]
    Wild {
        /// The list or tree.
        what: &'static str,
        /// Where the value is.
        at: u64,
        /// The value.
        value: u64,
    },
    /// Something cannot be read.
    #[error("{what}: {error}")]
    Unreadable {
        /// What was being read.
        what: &'static str,
        /// Why it cannot be.
        error: Error,
    },
}
