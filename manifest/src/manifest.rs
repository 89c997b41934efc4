// SPDX-License-Identifier: MIT OR Apache-2.0
//! A manifest as a whole, without its chunks.

use crate::{
    ArtifactsRecord, Footer, Header, LineProblem, ObjectRecord, RangeEnd, RangeRecord, ReadError,
    Reader, Record, SecondPassRange, SecondPassTotals, Stamp, WrittenRecord,
};
use linpmem_phys::{PhysRange, RegionKind, Unreadable, Unreadables};
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

/// The most ranges to keep in memory; a machine has a few dozen.
const MAX_RANGES: usize = 1 << 20;
/// The most ranges of unreadable pages to keep in memory: 96 MiB.
const MAX_UNREADABLE: usize = 4 << 20;

/// What a manifest says, except for its chunks and the pages that changed. Those are many:
/// read them one by one with [`Chunks`](crate::Chunks) or [`Reader`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// What was known before memory was read.
    pub header: Header,
    /// The ranges in the image, by address.
    pub ranges: Vec<Range>,
    /// The artifacts, if they were collected after the memory.
    pub late_artifacts: Option<ArtifactsRecord>,
    /// When the image was on the disk, if it is whole.
    pub written: Option<WrittenRecord>,
    /// What a second pass found, if there was one.
    pub second_pass: Option<SecondPass>,
    /// The objects of a store that have the image, in the order of their bytes.
    pub objects: Vec<ObjectRecord>,
    /// What was known at the end.
    pub footer: Footer,
}

/// A range, and what was read of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    /// Its first line.
    pub record: RangeRecord,
    /// Its addresses.
    pub addresses: PhysRange,
    /// How many chunks it has.
    pub chunks: u64,
    /// What could not be read, by address. Neighbours with the same reason are one, even
    /// in different chunks.
    pub unreadable: Vec<Unreadable>,
    /// Its last line.
    pub end: RangeEnd,
}

/// What a second pass found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecondPass {
    /// When it began.
    pub started: Stamp,
    /// What it found in each range, by address.
    pub ranges: Vec<SecondPassRange>,
    /// The totals over all ranges.
    pub totals: SecondPassTotals,
}

impl Range {
    /// What the kernel calls it.
    #[must_use]
    pub fn kind(&self) -> RegionKind {
        self.record.kind()
    }
}

/// Reads the manifest at `path`.
///
/// # Errors
/// If it is missing, truncated or damaged, or has another version.
pub fn read(path: &Path) -> Result<Manifest, ReadError> {
    Manifest::collect(Reader::open(path)?)
}

/// Reads the manifest in `content`, which errors call `path`.
///
/// # Errors
/// If it is truncated or damaged, or has another version.
pub fn parse(content: impl Read, path: &Path) -> Result<Manifest, ReadError> {
    Manifest::collect(Reader::new(BufReader::new(content), path))
}

impl Manifest {
    /// The artifacts of the image, whenever they were collected.
    #[must_use]
    pub const fn artifacts(&self) -> Option<&ArtifactsRecord> {
        match &self.header.artifacts {
            Some(record) => Some(record),
            None => self.late_artifacts.as_ref(),
        }
    }

    /// What `reader` says, from the first line to the last.
    ///
    /// # Errors
    /// If the manifest is truncated or damaged, or has another version.
    pub fn collect<R: BufRead>(mut reader: Reader<R>) -> Result<Self, ReadError> {
        let mut parts = Parts::default();
        while let Some(record) = reader.next() {
            parts
                .take(record?)
                .map_err(|problem| reader.error(problem))?;
        }
        match parts {
            Parts {
                header: Some(header),
                footer: Some(footer),
                ranges,
                late_artifacts,
                written,
                objects,
                second_pass,
                ..
            } => Ok(Self {
                header,
                ranges,
                late_artifacts,
                written,
                objects,
                second_pass,
                footer,
            }),
            // The reader returns both, or an error.
            _ => Err(reader.error(LineProblem::Unexpected {
                found: "the end",
                reason: "header and footer come before it",
            })),
        }
    }
}

/// What the lines up to here say.
#[derive(Default)]
struct Parts {
    header: Option<Header>,
    open: Option<OpenRange>,
    ranges: Vec<Range>,
    /// Unreadable ranges in all ranges that have ended.
    unreadable: usize,
    late_artifacts: Option<ArtifactsRecord>,
    written: Option<WrittenRecord>,
    objects: Vec<ObjectRecord>,
    second_pass_started: Option<Stamp>,
    second_pass_ranges: Vec<SecondPassRange>,
    second_pass: Option<SecondPass>,
    footer: Option<Footer>,
}

struct OpenRange {
    record: RangeRecord,
    addresses: PhysRange,
    chunks: u64,
    unreadable: Unreadables,
}

impl Parts {
    fn take(&mut self, record: Record) -> Result<(), LineProblem> {
        match record {
            Record::Header(header) => self.header = Some(*header),
            Record::Range(record) => {
                limit(self.ranges.len(), MAX_RANGES, "ranges")?;
                self.open = record.addresses().map(|addresses| OpenRange {
                    record,
                    addresses,
                    chunks: 0,
                    unreadable: Unreadables::new(),
                });
            }
            Record::Chunk(_) => self.count(1),
            Record::ZeroChunks(zeros) => self.count(zeros.count),
            Record::Unreadable(record) => {
                let pair = self.open.as_mut().zip(record.addresses());
                if let Some((range, addresses)) = pair {
                    range.unreadable.push(addresses, record.errno());
                    let held = self.unreadable + range.unreadable.as_slice().len();
                    limit(held, MAX_UNREADABLE, "ranges of unreadable pages")?;
                }
            }
            Record::RangeEnd(end) => {
                if let Some(range) = self.open.take() {
                    let unreadable = range.unreadable.as_slice().to_vec();
                    self.unreadable += unreadable.len();
                    self.ranges.push(Range {
                        record: range.record,
                        addresses: range.addresses,
                        chunks: range.chunks,
                        unreadable,
                        end,
                    });
                }
            }
            Record::Artifacts(record) => self.late_artifacts = Some(*record),
            Record::Written(written) => self.written = Some(*written),
            Record::Object(object) => self.objects.push(*object),
            Record::SecondPass(start) => self.second_pass_started = Some(start.started),
            Record::Changed(_) => {}
            Record::SecondPassRange(range) => {
                limit(self.second_pass_ranges.len(), MAX_RANGES, "ranges")?;
                self.second_pass_ranges.push(range);
            }
            Record::SecondPassEnd(totals) => {
                let ranges = std::mem::take(&mut self.second_pass_ranges);
                let started = self.second_pass_started.take();
                self.second_pass = started.map(|started| SecondPass {
                    started,
                    ranges,
                    totals,
                });
            }
            Record::Footer(footer) => self.footer = Some(*footer),
        }
        Ok(())
    }

    fn count(&mut self, chunks: u64) {
        if let Some(range) = &mut self.open {
            // The reader has counted them already, and refuses too many.
            range.chunks = range.chunks.saturating_add(chunks);
        }
    }
}

const fn limit(held: usize, limit: usize, what: &'static str) -> Result<(), LineProblem> {
    if held < limit {
        return Ok(());
    }
    Err(LineProblem::TooMany { what, limit })
}
