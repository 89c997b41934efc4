// SPDX-License-Identifier: MIT OR Apache-2.0
//! Kdump-compressed images, as makedumpfile writes them: each page compressed
//! alone. The bytes are described in docs/formats/kdump.md.

pub mod flattened;

mod bitmap;
mod compression;
mod encoder;
mod error;
mod header;
mod index;
mod layout;
mod page;
mod reader;
mod stream;
mod writer;

pub use compression::{Compression, CompressionError};
pub use error::Error;
pub use reader::Reader;
pub use writer::Writer;

/// Bytes of a page, and of the blocks that the parts of the file are counted in.
const BLOCK_BYTES: usize = 4096;

/// The most pages, present or not, below the last one: 32 TiB.
const MAX_PAGES: u64 = 1 << 33;
