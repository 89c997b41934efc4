// SPDX-License-Identifier: MIT OR Apache-2.0
//! Images in the Advanced Forensic Format 4, version 1.0: a zip volume with a map of
//! addresses over a stream of compressed chunks. docs/formats/aff4.md describes the bytes.
//!
//! - [`Writer`] writes one volume as its [`Options`] say, with the machine's [`Facts`],
//!   the [`Case`] and any [`File`]s next to the memory;
//! - [`Reader`] reads images by linpmem and other tools, including striped ones, and
//!   [checks](Reader::verify) their hashes;
//! - [`recover`](recover()) completes a volume whose acquisition did not finish.
//!
//! ```
//! use linpmem_formats::{
//!     ImagePlan, ImageReader, MachineFacts, PlannedRange, StreamOutput, aff4, write_image,
//! };
//! use linpmem_phys::{MemoryImage, MemoryMap, PhysAddr, PhysRange, Region, RegionKind};
//! use std::sync::Arc;
//!
//! let range = PhysRange::new(PhysAddr::new(0x1000), PhysAddr::new(0x9000))?;
//! let kind = RegionKind::SystemRam;
//! let map = MemoryMap::new([Region { range, kind }]).map_err(|_| "the regions overlap")?;
//! let source = MemoryImage::new(map.clone(), vec![0x90; 0x9000]);
//! let plan = ImagePlan::new(PlannedRange::from_map(&map), MachineFacts::default())?;
//!
//! // Of a real image, these are 16 random bytes each, and the time.
//! let urns = aff4::Urns::from_random([[1; 16], [2; 16], [3; 16], [4; 16]]);
//! let clock = aff4::Clock::new(|| "2025-01-31T12:00:00Z".to_owned());
//! let mut options = aff4::Options::new(urns, clock, "example 1.0");
//! options.case.examiner = Some("A. Turing".to_owned());
//! options.files.push(aff4::File::new("/etc/hostname", b"bletchley\n".to_vec()));
//!
//! let mut writer = aff4::Writer::new(&plan, options)?;
//! let mut out = StreamOutput::new(Vec::new());
//! write_image(&source, &plan, &mut writer, &mut out)?;
//!
//! let image = aff4::Reader::open(vec![Arc::new(out.into_inner())])?;
//! assert_eq!(image.ranges().len(), 1);
//! assert_eq!(image.file(&image.files()[0].urn)?, b"bletchley\n");
//! image.verify(|check| assert_eq!(check.verdict, aff4::Verdict::Match))?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

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
mod warnings;
mod writer;
mod zip;

pub use compression::{Compression, CompressionError};
pub use content::{Content, File, LateFiles};
pub use digest::{HashAlgorithm, Sha256Many, UnknownHash, sha256_many};
pub use error::Error;
pub use graph::FileInfo;
pub use options::{Case, Clock, Facts, Options, Urns};
pub use reader::Reader;
pub use recover::{RecoverError, Recovery, recover, recover_within};
pub use urn::Urn;
pub use verify::{Check, Level, Verdict};
pub use writer::Writer;
