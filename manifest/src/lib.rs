// SPDX-License-Identifier: MIT OR Apache-2.0
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod address;
mod artifacts;
mod beginning;
mod chunks;
mod custody;
mod digest;
mod encryption;
mod error;
mod footer;
mod hash;
mod hashed;
mod header;
mod image_id;
mod lines;
mod manifest;
mod object;
pub mod paths;
mod range;
mod reader;
mod record;
mod second_pass;
mod sequence;
mod source;
mod stamp;
mod tally;
mod version;
mod writer;
mod written;

pub use address::Address;
pub use artifacts::{ArtifactRecord, ArtifactsPlace, ArtifactsRecord, Missing, Remark};
pub use beginning::{Beginning, BegunRange};
pub use chunks::{ChunkContent, Chunks, ImageChunk, ListedChunk};
pub use custody::{ClockRecord, CustodyRecord, Operator, OperatorFrom, SourceManifest};
pub use digest::{NotASum, Sha256Sum};
pub use encryption::{EncryptedFileRecord, EncryptionRecord};
pub use error::{LineProblem, ReadError};
pub use footer::{FileRecord, Footer, State};
pub use hash::{FurtherHash, HashRecord};
pub use hashed::{HashedRecord, ReadBackRecord, ReadBackWay};
pub use header::{
    Header, Host, ImageRecord, MachineRecord, MapEntry, ReadFirst, Tool, VmcoreinfoRecord,
};
pub use image_id::{ImageId, NotAnImageId};
pub use lines::MAX_LINE_BYTES;
pub use manifest::{Manifest, Range, SecondPass, parse, read};
pub use object::ObjectRecord;
pub use range::{
    ChunkRecord, FrameRecord, RangeEnd, RangeRecord, ReadSpan, UnreadableRecord, ZeroChunks,
};
pub use reader::Reader;
pub use record::Record;
pub use second_pass::{ChangedRecord, SecondPassRange, SecondPassStart, SecondPassTotals};
pub use source::{PartRecord, SourceRecord, UnusedRecord};
pub use stamp::Stamp;
pub use tally::Tally;
pub use version::{VERSION, Version};
pub use writer::{ManifestWriter, SecondPassWriter};
pub use written::WrittenRecord;
