// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory and nothing else. The bytes are described in docs/formats/raw.md.

mod layout;
mod reader;
mod writer;

pub use layout::Layout;
pub use reader::{Error, Reader};
pub use writer::Writer;
