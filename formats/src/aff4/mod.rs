// SPDX-License-Identifier: MIT OR Apache-2.0
//! Images in the Advanced Forensic Format 4, version 1.0: a zip volume with a map
//! of addresses over a stream of compressed chunks. The bytes are described in
//! docs/formats/aff4.md.

mod bevy;
mod check;
mod compression;
mod content;
mod describe;
mod digest;
mod encoder;
mod error;
mod files;
mod linear_hash;
mod map;
mod mapped;
mod objects;
mod options;
mod ranges;
mod reader;
mod recover;
mod schema;
mod store;
mod stream;
mod symbolic;
mod turtle;
mod urn;
mod verify;
mod writer;
mod zip;

pub use check::{Check, Level, Verdict};
pub use compression::{Compression, CompressionError};
pub use content::{Content, File};
pub use digest::{HashAlgorithm, UnknownHash};
pub use error::Error;
pub use files::FileInfo;
pub use options::{Case, Clock, Facts, Options, Urns};
pub use reader::Reader;
pub use recover::{RecoverError, Recovery, recover};
pub use urn::Urn;
pub use writer::Writer;
