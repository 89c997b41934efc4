// SPDX-License-Identifier: MIT OR Apache-2.0
//! The record of an acquisition.
//!
//! A manifest is written front to back beside the image, a line for every chunk,
//! so that it takes no memory and a run that is killed leaves what it knew. What
//! is known only at the end stands at the end. The form is described by
//! docs/manifest.schema.json.

#![forbid(unsafe_code)]

mod address;
mod artifacts;
mod digest;
mod hash;
pub mod paths;
mod reader;
mod record;
mod second_pass;
mod source;
mod spool;
mod stamp;
mod tally;
mod writer;

pub use address::Address;
pub use artifacts::{ArtifactRecord, ArtifactsPlace, ArtifactsRecord, Missing, Remark};
pub use digest::{NotASum, Sha256Sum};
pub use hash::{FurtherHash, HashRecord};
pub use reader::{ReadError, parse, read};
pub use record::{
    ChunkRecord, FileRecord, FrameRecord, Host, ImageRecord, MachineRecord, Manifest, MapEntry,
    RangeRecord, ReadFirst, State, Tool, UnreadableRecord, VmcoreinfoRecord,
};
pub use second_pass::{
    ChangedRecord, SecondPassRange, SecondPassRecord, SecondPassTotals, SecondPassWriter,
};
pub use source::{PartRecord, SourceRecord, UnusedRecord};
pub use spool::{Spool, unnamed_file};
pub use stamp::Stamp;
pub use tally::Tally;
pub use writer::{Footer, Header, ManifestWriter, RangeHead, RangeTail};

/// The number that stands in `manifest_version`. It grows when a reader of the
/// old form would misunderstand the new one.
pub const VERSION: u32 = 1;
