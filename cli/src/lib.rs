// SPDX-License-Identifier: MIT OR Apache-2.0
//! What linpmem's programs have in common on the command line: exit codes, documents in
//! words and as JSON, messages on stderr, tables, manual pages and completions.
//! docs/json.md describes the JSON.

#![forbid(unsafe_code)]

mod document;
mod exit_status;
mod manual;
mod program;
mod start;
mod stderr;
pub mod table;
mod terminal;

pub use document::{Document, SignedHex, StdoutError, Tag, Tagged, VERSION, write_json};
pub use exit_status::ExitStatus;
pub use manual::{Manual, ManualError, Section};
pub use program::Program;
pub use stderr::{Event, Stderr, is_closed_stdout};
pub use terminal::{Door, is_harmful, printable};

// The example of the README is a test as well.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
