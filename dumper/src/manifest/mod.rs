// SPDX-License-Identifier: MIT OR Apache-2.0
//! The record of an acquisition.
//!
//! A manifest is written front to back beside the image, a line for every chunk,
//! so that it takes no memory and a run that is killed leaves what it knew. What
//! is known only at the end stands at the end. The form is described by
//! docs/manifest.schema.json.

mod address;
mod evidence;
mod model;
mod origin;
mod reader;
mod second_pass;
mod so_far;
mod spool;
mod writer;

pub use address::Address;
pub use evidence::{EvidenceFile, EvidencePlace, EvidenceRecord, Missing, Remark};
pub use model::{
    ChunkRecord, FileRecord, FrameRecord, Host, ImageRecord, MachineRecord, Manifest, MapEntry,
    RangeRecord, ReadFirst, State, Tool, UnreadableRecord, VmcoreinfoRecord,
};
pub use origin::{PartRecord, SourceRecord, UnusedRecord};
pub use reader::{ReadError, parse, read};
pub use second_pass::{
    ChangedRecord, SecondPassRange, SecondPassRecord, SecondPassTotals, SecondPassWriter,
};
pub use so_far::SoFar;
pub(crate) use spool::{Spool, unnamed_file};
pub use writer::{Footer, Header, ManifestWriter, RangeHead, RangeTail};

/// The number that stands in `manifest_version`. It grows when a reader of the
/// old form would misunderstand the new one.
pub const VERSION: u32 = 1;
