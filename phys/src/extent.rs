// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is known of the content of a range.

use crate::{Errno, PhysRange};
use std::fmt;

/// A range and what was found there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Where.
    pub range: PhysRange,
    /// What.
    pub content: Content,
}

/// What a range holds. Zero is never confused with not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Bytes that were read.
    Data,
    /// Read, and every byte was zero.
    Zero,
    /// Asked for and refused.
    Unreadable {
        /// The kernel's reason.
        errno: Errno,
    },
    /// Not asked for.
    Skipped {
        /// Why not.
        reason: SkipReason,
    },
}

/// Why a range was left out on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SkipReason {
    /// Its kind was not among those asked for.
    NotRequested,
    /// The acquisition was stopped before it got there.
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
