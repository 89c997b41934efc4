// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory and nothing else. The bytes are described in docs/formats/raw.md.

mod layout;
mod writer;

pub use layout::RawLayout;
pub use writer::RawWriter;
