// SPDX-License-Identifier: MIT OR Apache-2.0
//! How the ranges of a raw image follow each other. It is part of every format's name, so
//! it does not depend on the feature `raw`.

use std::fmt;

/// How the ranges of a raw image follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RawLayout {
    /// Back to back. Small, but without the list of ranges the addresses are lost.
    Concatenated,
    /// Each range at the offset of its physical address, with zeros (holes where
    /// possible) before and between them. The image begins at address 0.
    Padded,
}

impl fmt::Display for RawLayout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Concatenated => "concatenated",
            Self::Padded => "padded",
        })
    }
}
