// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether an image has the content that the machine's memory had.
//!
//! Memory changes while it is read. QEMU's own view of it is saved before, a few times
//! during, and after the acquisition: every page that is equal in all of these views
//! must be equal in the image, byte for byte. The files are read by code of this
//! module, not by the project's readers.
//!
//! Views before and after alone would not do: a page table is used and cleared, a
//! count goes up and down again, and the page looks as if it had never changed.
//! Changes that last as long as the acquisition show in the views taken during it.
//! Changes of a moment do not, so [`Comparison::require`] tolerates one page in five
//! thousand that differs in some bytes, or was free and zero. A page in the wrong
//! place, truncated, or zero where it should not be, is not of that kind. Pages that
//! the guest has locked must be exact.

mod changes;
mod compare;
mod elf;
mod manifest;
mod mapped;

pub use changes::changed_pages;
pub use compare::{Comparison, compare};
pub use elf::open_elf;
pub use manifest::Manifest;
pub use mapped::{MappedFile, Piece};
