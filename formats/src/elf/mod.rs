// SPDX-License-Identifier: MIT OR Apache-2.0
//! ELF64 core files. The bytes are described in docs/formats/elf.md.

mod layout;
mod range_note;
mod writer;

pub use writer::ElfWriter;
