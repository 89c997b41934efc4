// SPDX-License-Identifier: MIT OR Apache-2.0
//! LiME images: records of a header and memory. The bytes are described in
//! docs/formats/lime.md.

mod reader;
mod writer;

pub use crate::records::Error;
pub use reader::Reader;
pub use writer::Writer;
