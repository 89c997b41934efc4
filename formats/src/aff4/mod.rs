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

pub use check::{Aff4Check, Aff4Level, Aff4Verdict};
pub use compression::{Aff4Compression, Aff4CompressionError};
pub use content::{Aff4Content, Aff4File};
pub use digest::{HashAlgorithm, UnknownHash};
pub use error::Aff4Error;
pub use files::Aff4FileInfo;
pub use options::{Aff4Case, Aff4Clock, Aff4Facts, Aff4Options, Aff4Urns};
pub use reader::Aff4Reader;
pub use recover::{Aff4Recovery, RecoverError, aff4_recover};
pub use urn::Aff4Urn;
pub use writer::Aff4Writer;
