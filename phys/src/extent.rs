// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is known about the content of a range.

use crate::{Errno, PhysRange};
use std::fmt;

/// A range and what was found there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// The addresses.
    pub range: PhysRange,
    /// What they hold.
    pub content: Content,
}

/// What a range holds. Zero and "not read" are different things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Bytes that were read.
    Data,
    /// Read, and every byte was zero.
    Zero,
    /// Requested, but it could not be read.
    Unreadable {
        /// The kernel's reason.
        errno: Errno,
    },
    /// Not requested.
    Skipped {
        /// Why it was not.
        reason: SkipReason,
    },
}

/// Why a range was skipped on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SkipReason {
    /// Its kind was not requested.
    NotRequested,
    /// The acquisition was stopped before it reached the range.
    Interrupted,
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotRequested => "not requested",
            Self::Interrupted => "interrupted",
        })
    }
}
