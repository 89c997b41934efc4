// SPDX-License-Identifier: MIT OR Apache-2.0
//! zstd files that can be read from the middle. The bytes are described in
//! docs/formats/zstd.md.

mod error;
mod index;
mod reader;
mod scan;
mod seek_table;

pub use error::ZstdError;
pub use reader::{MAX_FRAME_CONTENT_BYTES, ZstdReader};
pub use seek_table::{ZstdFrame, seek_table};
