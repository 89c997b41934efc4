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

pub use crate::raw_layout::RawLayout as Layout;
