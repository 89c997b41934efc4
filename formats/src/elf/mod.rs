// SPDX-License-Identifier: MIT OR Apache-2.0
//! ELF64 core files. The bytes are described in docs/formats/elf.md.

mod error;
mod evidence;
mod headers;
mod kernel_text;
mod layout;
mod notes;
mod range_note;
mod reader;
mod segments;
mod writer;

pub use error::Error;
pub use reader::Reader;
pub use writer::Writer;

/// The most bytes of artifacts that the note for them holds.
pub const MAX_ARTIFACTS_BYTES: u64 = evidence::MAX_BYTES;
