// SPDX-License-Identifier: MIT OR Apache-2.0
//! Images of physical memory, written and read.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::as_conversions))]

pub mod aff4;
pub mod avml;
pub mod elf;
pub mod frames;
pub mod kdump;
pub mod lime;
pub mod raw;

mod cache;
mod codec;
mod detect;
mod image;
mod linear;
mod open;
mod output;
mod plan;
mod read_at;
mod records;
mod sequence;
mod writer;

pub use codec::{Codec, CodecError};
pub use detect::{DETECT_BYTES, Detected, Format, detect};
pub use image::{ImageReader, StoredRange};
pub use open::{ImageBytes, OpenError, open_bytes, open_image, open_reader};
pub use output::{ImageOutput, OutputError};
pub use plan::{ImagePlan, MachineFacts, PlanError, PlannedRange};
pub use read_at::{FileSource, ReadAt};
pub use writer::{Chunk, ChunkEncoder, ImageWriter, WriteError};
