// SPDX-License-Identifier: MIT OR Apache-2.0
//! Compressed files that can be read from the middle. The bytes are described in
//! docs/formats/zstd.md and docs/formats/lz4-snappy.md.

mod cursor;
mod error;
mod index;
mod lz4;
mod reader;
mod scan;
mod seek_table;
mod snappy;

pub use error::Error;
pub use lz4::{encode_lz4, lz4_bound};
pub use reader::{MAX_CONTENT_BYTES, Reader};
pub use seek_table::{ZstdFrame, seek_table};
pub use snappy::{encode_snappy, snappy_bound};
