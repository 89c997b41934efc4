// SPDX-License-Identifier: MIT OR Apache-2.0
//! ELF64 core files. The bytes are described in docs/formats/elf.md.

mod error;
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
