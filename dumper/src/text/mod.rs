// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the program prints, for people and for programs.

pub mod comparison;
pub mod figures;
mod memory_map;
mod printable;
pub mod progress;
pub mod summary;
pub mod table;
pub mod verification;
pub mod voice;

pub use memory_map::draw as draw_memory_map;
pub use printable::printable;
