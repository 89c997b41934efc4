// SPDX-License-Identifier: MIT OR Apache-2.0
//! Raw images: memory without any header. docs/formats/raw.md describes the bytes.
//!
//! A raw image does not store its addresses. Keep its list of ranges elsewhere, such
//! as in a manifest, and give it to [`Reader::new`]; only a padded image can be
//! opened without one ([`Reader::padded`]).
//!
//! Without the Cargo feature `raw`, only [`Layout`] is here.

#[cfg(feature = "raw")]
mod reader;
#[cfg(feature = "raw")]
mod writer;

#[cfg(feature = "raw")]
pub use reader::{Error, Reader};
#[cfg(feature = "raw")]
pub use writer::Writer;

use std::fmt;

/// How the ranges of a raw image follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Back to back. Small, but without the list of ranges the addresses are lost.
    Concatenated,
    /// Each range at the offset of its physical address, with zeros (holes where
    /// possible) before and between them. The image begins at address 0.
    Padded,
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Concatenated => "concatenated",
            Self::Padded => "padded",
        })
    }
}
