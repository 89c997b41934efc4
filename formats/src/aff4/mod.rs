// SPDX-License-Identifier: MIT OR Apache-2.0
//! Images in the Advanced Forensic Format 4, version 1.0: a zip volume with a map of
//! addresses over a stream of compressed chunks. docs/formats/aff4.md describes the bytes.
//!
//! - [`Writer`] writes one volume as its [`Options`] say, with the machine's [`Facts`],
//!   the [`Case`] and any [`File`]s next to the memory;
//! - [`Reader`] reads images by linpmem and other tools, including striped ones, and
//!   [checks](Reader::verify) their hashes;
//! - [`recover`](recover()) completes a volume whose acquisition did not finish.

mod bevy;
mod compression;
mod content;
mod describe;
mod digest;
mod encoder;
mod error;
mod graph;
mod linear_hash;
mod map;
mod mapped;
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

pub use compression::{Compression, CompressionError};
pub use content::{Content, File};
pub use digest::{HashAlgorithm, UnknownHash};
pub use error::Error;
pub use graph::FileInfo;
pub use options::{Case, Clock, Facts, Options, Urns};
pub use reader::Reader;
pub use recover::{RecoverError, Recovery, recover};
pub use urn::Urn;
pub use verify::{Check, Level, Verdict};
pub use writer::Writer;
