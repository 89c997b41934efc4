// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the program prints, for people and for programs.
//!
//! A command makes a [`Document`]; text and JSON are two renderings of it. The files
//! that bear the name of a command hold its document. docs/json.md describes the JSON.

pub mod compare;
mod document;
pub mod extract;
pub mod figures;
pub mod info;
pub mod ls;
mod memory_map;
pub mod progress;
pub mod ranges;
pub mod recover;
pub mod stderr;
pub mod summary;
pub mod symbols;
pub mod table;
pub mod verify;

pub use document::{Document, StdoutError, Tag, VERSION};
pub(crate) use document::{Event, seconds};
