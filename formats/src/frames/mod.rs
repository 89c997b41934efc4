// SPDX-License-Identifier: MIT OR Apache-2.0
//! Compression of an image as a whole, in independent frames of zstd, LZ4 or Snappy, so
//! that the content can be read at random. docs/formats/zstd.md and
//! docs/formats/lz4-snappy.md describe the bytes.
//!
//! To read: [`Reader`] gives random access to the content of such a file, whichever
//! program made it, unless its frames are too large. [`open_image`](crate::open_image)
//! uses it on its own.
//!
//! To write: cut the image into pieces (linpmem uses 1 MiB) and write each as a frame,
//! by [`encode_lz4`], [`encode_snappy`], or zstd itself; after the last zstd frame
//! append a [`seek_table`].

mod error;
mod index;
mod lz4;
mod reader;
mod snappy;
mod zstd;

pub use self::zstd::{ZstdFrame, seek_table, zstd_frame_at};
pub use error::Error;
pub use lz4::{encode_lz4, lz4_bound};
pub use reader::{MAX_CONTENT_BYTES, Reader};
pub use snappy::{encode_snappy, snappy_bound};
