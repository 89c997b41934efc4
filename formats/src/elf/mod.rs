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

pub use error::ElfError;
pub use reader::ElfReader;
pub use writer::ElfWriter;

/// The most bytes of evidence that the note for it holds.
pub const MAX_ELF_EVIDENCE_BYTES: u64 = evidence::MAX_BYTES;
