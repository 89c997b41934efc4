// SPDX-License-Identifier: MIT OR Apache-2.0
//! The lines of a range: its beginning, its chunks, its unreadable pages, its end.

use crate::{Address, Sha256Sum};
use linpmem_phys::{Errno, PhysAddr, PhysRange, RegionKind, Unreadable};
use serde::{Deserialize, Serialize};

/// A range of memory that is in the image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RangeRecord {
    /// Counts the ranges from 0.
    pub index: u64,
    /// First address.
    pub start: Address,
    /// Last address, included.
    pub last: Address,
    /// What the kernel calls it.
    pub kind: String,
    /// Where its data begins in the image, before compression; null if the data is not in
    /// one piece there.
    #[serde(deserialize_with = "Option::deserialize")]
    pub file_offset: Option<u64>,
}

impl RangeRecord {
    /// What the kernel calls it, as this project's type.
    #[must_use]
    pub fn kind(&self) -> RegionKind {
        RegionKind::from_name(&self.kind)
    }

    /// The addresses; `None` if there are none between `start` and `last`.
    #[must_use]
    pub fn addresses(&self) -> Option<PhysRange> {
        addresses(self.start, self.last)
    }
}

/// The next chunk of a range: on its line, an array of its SHA-256, its times, and of a
/// compressed chunk its frame. Its addresses follow from the range and from the chunks
/// before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "ChunkArray", into = "ChunkArray")]
pub struct ChunkRecord {
    /// The SHA-256 of its bytes, before compression.
    pub sha256: Sha256Sum,
    /// When it was read.
    pub read: ReadSpan,
    /// Where its compressed bytes are in the file.
    pub frame: Option<FrameRecord>,
}

#[derive(Serialize, Deserialize)]
struct ChunkArray(
    Sha256Sum,
    ReadSpan,
    #[serde(default, skip_serializing_if = "Option::is_none")] Option<FrameRecord>,
);

impl From<ChunkArray> for ChunkRecord {
    fn from(ChunkArray(sha256, read, frame): ChunkArray) -> Self {
        Self {
            sha256,
            read,
            frame,
        }
    }
}

impl From<ChunkRecord> for ChunkArray {
    fn from(chunk: ChunkRecord) -> Self {
        Self(chunk.sha256, chunk.read, chunk.frame)
    }
}

/// The next chunks of a range, all of them zero, so that their hashes follow from their
/// lengths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ZeroChunks {
    /// How many: from 1 to [`ZeroChunks::MAX_COUNT`].
    pub count: u64,
    /// When they were read: from before the first to after the last.
    pub read_us: ReadSpan,
    /// Where the compressed bytes of the first are in the file. Those of the others
    /// follow without a gap, and each has the same length.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frame: Option<FrameRecord>,
}

impl ZeroChunks {
    /// The most chunks on one line. The manifest of a run that is killed can lack this many
    /// although they are in the image, and reading a line takes a limited time.
    pub const MAX_COUNT: u64 = 1024;

    /// Whether the last frame ends at an offset that a file can have.
    pub(crate) fn frames_fit(&self) -> bool {
        self.frame.is_none_or(|frame| {
            let bytes = frame.length.checked_mul(self.count);
            bytes.is_some_and(|bytes| frame.offset.checked_add(bytes).is_some())
        })
    }
}

/// When memory was read: microseconds from the start of the run to before the first
/// byte, and from there to after the last; on a line, an array of the two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "[u64; 2]", into = "[u64; 2]")]
pub struct ReadSpan {
    /// From the start of the run to before the first byte.
    pub begin_us: u64,
    /// From before the first byte to after the last.
    pub duration_us: u64,
}

impl ReadSpan {
    /// The time between two moments, both in microseconds from the start of the run.
    #[must_use]
    pub const fn between(begin_us: u64, end_us: u64) -> Self {
        Self {
            begin_us,
            // The clock never goes backwards.
            duration_us: end_us.saturating_sub(begin_us),
        }
    }

    /// After the last byte, in microseconds from the start of the run, up to 584,000 years.
    #[must_use]
    pub const fn end_us(self) -> u64 {
        self.begin_us.saturating_add(self.duration_us)
    }

    /// The time from the beginning of this to the end of `later`.
    #[must_use]
    pub const fn until(self, later: Self) -> Self {
        Self::between(self.begin_us, later.end_us())
    }
}

impl From<[u64; 2]> for ReadSpan {
    fn from([begin_us, duration_us]: [u64; 2]) -> Self {
        Self {
            begin_us,
            duration_us,
        }
    }
}

impl From<ReadSpan> for [u64; 2] {
    fn from(span: ReadSpan) -> Self {
        [span.begin_us, span.duration_us]
    }
}

/// Where compressed bytes are in the output file: on a line, an array of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "[u64; 2]", into = "[u64; 2]")]
pub struct FrameRecord {
    /// Offset in the file.
    pub offset: u64,
    /// Bytes.
    pub length: u64,
}

impl FrameRecord {
    /// The frame of the same length directly after this one; `None` if no file has room for
    /// it.
    #[must_use]
    pub fn next(self) -> Option<Self> {
        Some(Self {
            offset: self.offset.checked_add(self.length)?,
            ..self
        })
    }
}

impl From<[u64; 2]> for FrameRecord {
    fn from([offset, length]: [u64; 2]) -> Self {
        Self { offset, length }
    }
}

impl From<FrameRecord> for [u64; 2] {
    fn from(frame: FrameRecord) -> Self {
        [frame.offset, frame.length]
    }
}

/// Pages that could not be read, for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnreadableRecord {
    /// First address.
    pub start: Address,
    /// Last address, included.
    pub last: Address,
    /// Pages.
    pub pages: u64,
    /// The kernel's error number.
    pub errno: i32,
    /// Its name, if it is known here.
    #[serde(deserialize_with = "Option::deserialize")]
    pub name: Option<String>,
}

impl From<Unreadable> for UnreadableRecord {
    fn from(unreadable: Unreadable) -> Self {
        let range = unreadable.range;
        Self {
            start: range.start().into(),
            last: range.last().into(),
            pages: range.len().pages(),
            errno: unreadable.errno.get(),
            name: unreadable.errno.name().map(str::to_owned),
        }
    }
}

impl UnreadableRecord {
    /// The addresses; `None` if there are none between `start` and `last`.
    #[must_use]
    pub fn addresses(&self) -> Option<PhysRange> {
        addresses(self.start, self.last)
    }

    /// The kernel's error number as this project's type.
    #[must_use]
    pub const fn errno(&self) -> Errno {
        Errno::new(self.errno)
    }
}

/// What is known about a range when its last chunk has been written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RangeEnd {
    /// Bytes of the range that are in the image: fewer than the range has if the run
    /// ended early.
    pub written_bytes: u64,
    /// Pages that could not be read.
    pub unreadable_pages: u64,
    /// The Merkle root over the hashes of its chunks.
    pub sha256_tree: Sha256Sum,
    /// When it was read; null if no chunk was.
    #[serde(deserialize_with = "Option::deserialize")]
    pub read_us: Option<ReadSpan>,
}

pub(crate) fn addresses(start: Address, last: Address) -> Option<PhysRange> {
    PhysRange::from_inclusive(PhysAddr::new(start.0), PhysAddr::new(last.0)).ok()
}
