// SPDX-License-Identifier: MIT OR Apache-2.0
//! makedumpfile's flattened stream: a dump in pieces, each with its place in the
//! dump, for pipes. The bytes are described in docs/formats/kdump.md.

mod layout;
mod reader;

pub(crate) use layout::{END, HEADER_BYTES, header, record_header};
pub use reader::{Error, Reader};
