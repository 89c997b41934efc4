// SPDX-License-Identifier: MIT OR Apache-2.0
//! Kdump-compressed images, as makedumpfile writes them: each page is compressed on
//! its own. docs/formats/kdump.md describes the bytes.

pub mod flattened;

mod bitmap;
mod dumped_bitmap;
mod encoder;
mod error;
mod header;
mod layout;
mod lzo;
mod notes;
mod page;
mod pages;
mod reader;
mod truncated;
mod writer;

pub use error::Error;
pub use page::{Compression, CompressionError};
pub use reader::Reader;
pub use writer::Writer;

/// Size of a page, and of the blocks in which the parts of the file are counted.
const BLOCK_BYTES: usize = 4096;

/// The most pages, present or not, up to the last one: 32 TiB.
const MAX_PAGES: u64 = 1 << 33;
