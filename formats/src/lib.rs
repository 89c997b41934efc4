// SPDX-License-Identifier: MIT OR Apache-2.0
//! Images of physical memory, written and read.

#![forbid(unsafe_code)]

mod codec;
mod elf;
mod output;
mod plan;
mod raw;
mod seekable;
mod sequence;
mod writer;

pub use codec::{Codec, CodecError};
pub use elf::ElfWriter;
pub use output::{ImageOutput, OutputError};
pub use plan::{ImagePlan, MachineFacts, PlanError, PlannedRange};
pub use raw::{RawLayout, RawWriter};
pub use seekable::{ZstdFrame, seek_table};
pub use writer::{Chunk, ImageWriter, WriteError};
