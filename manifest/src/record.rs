// SPDX-License-Identifier: MIT OR Apache-2.0
//! A line of a manifest.

use crate::{
    ArtifactsRecord, ChangedRecord, ChunkRecord, Footer, Header, ObjectRecord, RangeEnd,
    RangeRecord, SecondPassRange, SecondPassStart, SecondPassTotals, UnreadableRecord,
    WrittenRecord, ZeroChunks,
};
use serde::{Deserialize, Serialize};
use std::io::{self, Write};

/// One line of a manifest: an object with one member, whose name is the type of the
/// record. The writer serialises these and the reader deserialises them; nothing else
/// defines the format.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Record {
    /// The first line.
    Header(Box<Header>),
    /// A range of memory begins. What follows, up to its end, belongs to it.
    Range(RangeRecord),
    /// The next chunk of the range.
    Chunk(ChunkRecord),
    /// The next chunks of the range, all of them zero.
    ZeroChunks(ZeroChunks),
    /// Pages of the chunks on the line before that could not be read.
    Unreadable(UnreadableRecord),
    /// The range ends.
    RangeEnd(RangeEnd),
    /// The artifacts, if they were collected after the memory.
    Artifacts(Box<ArtifactsRecord>),
    /// All memory is in the image, which is on the disk.
    Written(Box<WrittenRecord>),
    /// Memory was read a second time. What follows, up to its end, belongs to it.
    SecondPass(SecondPassStart),
    /// Pages that changed between the two readings.
    Changed(ChangedRecord),
    /// What the second pass found in one range; its changed pages come before it.
    SecondPassRange(SecondPassRange),
    /// The second pass ends.
    SecondPassEnd(SecondPassTotals),
    /// An object of a store that has the image, or part of it.
    Object(Box<ObjectRecord>),
    /// The last line.
    Footer(Box<Footer>),
}

impl Record {
    /// The name on its line.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Header(_) => "header",
            Self::Range(_) => "range",
            Self::Chunk(_) => "chunk",
            Self::ZeroChunks(_) => "zero_chunks",
            Self::Unreadable(_) => "unreadable",
            Self::RangeEnd(_) => "range_end",
            Self::Artifacts(_) => "artifacts",
            Self::Written(_) => "written",
            Self::SecondPass(_) => "second_pass",
            Self::Changed(_) => "changed",
            Self::SecondPassRange(_) => "second_pass_range",
            Self::SecondPassEnd(_) => "second_pass_end",
            Self::Object(_) => "object",
            Self::Footer(_) => "footer",
        }
    }

    /// Writes the record as a line.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write_line(&self, mut out: impl Write) -> io::Result<()> {
        serde_json::to_writer(&mut out, self)?;
        out.write_all(b"\n")
    }
}
