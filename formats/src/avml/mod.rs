// SPDX-License-Identifier: MIT OR Apache-2.0
//! AVML's compressed images: LiME's headers, and memory in Snappy's framing format.
//! docs/formats/avml.md describes the bytes.

mod block;
mod forward;
mod reader;
mod writer;

pub use crate::records::Error;
pub use reader::Reader;
pub use writer::Writer;
