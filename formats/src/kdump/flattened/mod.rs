// SPDX-License-Identifier: MIT OR Apache-2.0
//! makedumpfile's flattened stream: a dump in pieces, each with its offset in the
//! dump, so that the dump can be written to a pipe. docs/formats/kdump.md describes
//! the bytes.
//!
//! [`Reader`] gives the file that the stream describes; open that with
//! [`kdump::Reader`](super::Reader) or [`open_reader`](crate::open_reader), which also
//! does both at once.

mod layout;
mod reader;
mod writer;

pub use reader::{Error, Reader};
pub(in crate::kdump) use writer::Writer;
