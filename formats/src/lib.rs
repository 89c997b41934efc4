// SPDX-License-Identifier: MIT OR Apache-2.0
//! Images of physical memory, written and read.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::as_conversions))]

mod aff4;
mod avml;
mod cache;
mod codec;
mod detect;
mod elf;
mod flattened;
mod image;
mod kdump;
mod lime;
mod linear;
mod open;
mod output;
mod plan;
mod raw;
mod read_at;
mod seekable;
mod sequence;
mod writer;

pub use aff4::{
    Aff4Case, Aff4Check, Aff4Clock, Aff4Compression, Aff4CompressionError, Aff4Content, Aff4Error,
    Aff4Facts, Aff4File, Aff4FileInfo, Aff4Level, Aff4Options, Aff4Reader, Aff4Recovery, Aff4Urn,
    Aff4Urns, Aff4Verdict, Aff4Writer, HashAlgorithm, RecoverError, UnknownHash, aff4_recover,
};
pub use avml::{AvmlReader, AvmlWriter};
pub use codec::{Codec, CodecError};
pub use detect::{DETECT_BYTES, Detected, Format, detect};
pub use elf::{ElfError, ElfReader, ElfWriter, MAX_ELF_EVIDENCE_BYTES};
pub use flattened::{Flattened, FlattenedError};
pub use image::{ImageReader, StoredRange};
pub use kdump::{KdumpCompression, KdumpCompressionError, KdumpError, KdumpReader, KdumpWriter};
pub use lime::{LimeError, LimeReader, LimeWriter};
pub use open::{ImageBytes, OpenError, open_bytes, open_image, open_reader};
pub use output::{ImageOutput, OutputError};
pub use plan::{ImagePlan, MachineFacts, PlanError, PlannedRange};
pub use raw::{RawError, RawLayout, RawReader, RawWriter};
pub use read_at::{FileSource, ReadAt};
pub use seekable::{
    MAX_FRAME_CONTENT_BYTES, SeekableError, SeekableReader, ZstdFrame, lz4_frame, lz4_frame_bound,
    seek_table, snappy_frame, snappy_frame_bound,
};
pub use writer::{Chunk, ChunkEncoder, ImageWriter, WriteError};
