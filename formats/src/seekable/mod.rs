// SPDX-License-Identifier: MIT OR Apache-2.0
//! zstd files that can be read from the middle. The bytes are described in
//! docs/formats/zstd.md.

mod seek_table;

pub use seek_table::{ZstdFrame, seek_table};
