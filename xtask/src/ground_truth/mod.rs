// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether an image holds what the machine's memory held.
//!
//! Memory changes while it is read. QEMU's own view of it is saved before, a few
//! times during, and after: every page that is equal in all of these must be
//! equal in the image, byte for byte. What is read here is read by means of its
//! own, not by the project's.
//!
//! Before and after alone would not do: a page table that is used and cleared, a
//! count that goes up and down again, and the page looks as if it had never
//! changed. What lasts as long as the acquisition shows in the views taken during
//! it. What lasts a moment only does not, so [`Comparison::require`] lets one page in
//! five thousand pass that differs in some bytes, or was free and zero. A page at
//! the wrong place, or cut, or zero where it should not be, is neither. Pages that
//! the guest holds still get no such mercy.

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
