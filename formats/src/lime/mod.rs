// SPDX-License-Identifier: MIT OR Apache-2.0
//! LiME images: one record per range, a header and then the memory.
//! docs/formats/lime.md describes the bytes.

mod reader;
mod writer;

pub use crate::records::Error;
pub use reader::Reader;
pub use writer::Writer;
