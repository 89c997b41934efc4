// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether an image holds what the machine's memory held.
//!
//! Memory changes while it is read. QEMU's own view of it is saved before and
//! after: every page that is equal in both must be equal in the image, byte for
//! byte. What is read here is read by means of its own, not by the project's.

mod compare;
mod elf;
mod manifest;
mod mapped;

pub use compare::{Comparison, compare};
pub use elf::open_elf;
pub use manifest::Manifest;
pub use mapped::{MappedFile, Piece};
