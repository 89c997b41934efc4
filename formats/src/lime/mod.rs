// SPDX-License-Identifier: MIT OR Apache-2.0
//! LiME images: records of a header and memory. The bytes are described in
//! docs/formats/lime.md.

mod error;
mod layout;
mod reader;
mod writer;

pub use error::LimeError;
pub(crate) use layout::{HEADER_BYTES, RecordHeader};
pub use reader::LimeReader;
pub(crate) use reader::sort;
pub use writer::LimeWriter;
