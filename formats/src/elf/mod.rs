// SPDX-License-Identifier: MIT OR Apache-2.0
//! ELF64 core files. docs/formats/elf.md describes the bytes.

mod artifacts;
mod error;
mod headers;
mod image_mapping;
mod kernel_text;
mod layout;
mod notes;
mod range_note;
mod reader;
mod segments;
mod unplaced;
mod writer;
mod xen;

pub use artifacts::{MAX_ARTIFACTS_BYTES, Tail};
pub use error::Error;
pub use reader::Reader;
pub use writer::Writer;
