// SPDX-License-Identifier: MIT OR Apache-2.0
//! Kdump-compressed images, as makedumpfile writes them: each page is compressed on
//! its own. docs/formats/kdump.md describes the bytes.

pub mod flattened;

mod bitmap;
mod block;
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

/// Bytes of a bitmap that are written or read at a time. Each bitmap has a multiple of it.
const BITMAP_BYTES: usize = 4096;

/// The most pages, present or not, up to the last one: 32 TiB of pages of 4 KiB.
const MAX_PAGES: u64 = 1 << 33;
