// SPDX-License-Identifier: MIT OR Apache-2.0
//! Images of physical memory, written and read.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::as_conversions))]

mod codec;
mod detect;
mod elf;
mod image;
mod linear;
mod open;
mod output;
mod plan;
mod raw;
mod read_at;
mod seekable;
mod sequence;
mod writer;

pub use codec::{Codec, CodecError};
pub use detect::{DETECT_BYTES, Detected, Format, detect};
pub use elf::{ElfError, ElfReader, ElfWriter};
pub use image::{ImageReader, StoredRange};
pub use open::{ImageBytes, OpenError, open_bytes, open_image, open_reader};
pub use output::{ImageOutput, OutputError};
pub use plan::{ImagePlan, MachineFacts, PlanError, PlannedRange};
pub use raw::{RawError, RawLayout, RawReader, RawWriter};
pub use read_at::{FileSource, ReadAt};
pub use seekable::{MAX_FRAME_CONTENT_BYTES, ZstdError, ZstdFrame, ZstdReader, seek_table};
pub use writer::{Chunk, ImageWriter, WriteError};
