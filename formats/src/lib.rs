// SPDX-License-Identifier: MIT OR Apache-2.0
//! Images of physical memory, written and read.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::as_conversions))]
#![cfg_attr(
    not(feature = "default"),
    allow(dead_code, reason = "some helpers serve some of the formats only")
)]

#[cfg(feature = "aff4")]
pub mod aff4;
#[cfg(feature = "avml")]
pub mod avml;
#[cfg(feature = "elf")]
pub mod elf;
#[cfg(feature = "frames")]
pub mod frames;
#[cfg(feature = "kdump")]
pub mod kdump;
#[cfg(feature = "lime")]
pub mod lime;
pub mod raw;

mod raw_layout;

mod cache;
mod chunk;
mod codec;
mod detect;
mod fields;
mod open;
mod output;
mod plan;
mod read_at;
mod read_span;
mod reader;
#[cfg(any(feature = "lime", feature = "avml"))]
mod records;
mod write_order;
mod writer;

pub use chunk::Chunk;
pub use codec::{Codec, CodecError};
pub use detect::{DETECT_BYTES, Detected, Format, detect};
pub use open::{ImageBytes, OpenError, open_bytes, open_image, open_reader};
pub use output::{ImageOutput, OutputError};
pub use plan::{ImagePlan, MachineFacts, PlanError, PlannedRange};
pub use read_at::{FileSource, ReadAt};
pub use reader::{ImageReader, StoredRange};
pub use writer::{ChunkEncoder, ImageWriter, WriteError};
