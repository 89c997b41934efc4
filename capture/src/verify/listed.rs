// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a manifest says, to its end or as far as it goes.

use linpmem_manifest::{
    ArtifactsRecord, Footer, Header, LineProblem, RangeEnd, RangeRecord, ReadError, Reader, Record,
};
use linpmem_phys::{PhysRange, Unreadable, Unreadables};
use std::io::BufRead;

/// The most ranges to keep in memory; a machine has a few dozen.
const MAX_RANGES: usize = 1 << 20;
/// The most ranges of unreadable pages to keep in memory: 96 MiB.
const MAX_UNREADABLE: usize = 4 << 20;

/// What a manifest says, apart from its chunks. That of a run that was killed ends early, and
/// what it says up to there is as good as any.
#[derive(Debug)]
pub struct Listed {
    /// What was known before memory was read.
    pub header: Header,
    /// The ranges that were begun.
    pub ranges: Vec<ListedRange>,
    /// The artifacts, if they were collected after the memory.
    pub late_artifacts: Option<ArtifactsRecord>,
    /// What was known at the end; none if the manifest ends early. If the run was killed when
    /// the image was whole, that is what was known then.
    pub footer: Option<Footer>,
    /// Whether the manifest ends before its last line.
    pub is_cut: bool,
    /// Complete lines.
    pub lines: u64,
    /// The line with the latest chunks of a range without an end: pages of theirs that could
    /// not be read may be missing.
    pub open_line: Option<u64>,
}

/// A range, and what was read of it.
#[derive(Debug)]
pub struct ListedRange {
    /// Its first line.
    pub record: RangeRecord,
    /// Its addresses.
    pub addresses: PhysRange,
    /// How many chunks it has.
    pub chunks: u64,
    /// What could not be read, by address.
    pub unreadable: Vec<Unreadable>,
    /// Its last line; none if the manifest ends before it.
    pub end: Option<RangeEnd>,
}

/// The range that has no end yet.
struct Open {
    record: RangeRecord,
    addresses: PhysRange,
    chunks: u64,
    unreadable: Unreadables,
    line: Option<u64>,
}

impl Listed {
    /// Reads what `reader` has.
    ///
    /// # Errors
    /// If the manifest is damaged, has another version, or ends before its first line does.
    pub fn read<R: BufRead>(mut reader: Reader<R>) -> Result<Self, ReadError> {
        let (mut header, mut late_artifacts) = (None, None);
        let (mut written, mut footer) = (None, None);
        let mut ranges: Vec<ListedRange> = Vec::new();
        let mut open: Option<Open> = None;
        let mut kept = 0;
        let mut early = None;
        while let Some(record) = reader.next() {
            let record = match record {
                Ok(record) => record,
                Err(error @ ReadError::Truncated { .. }) => {
                    early = Some(error);
                    break;
                }
                Err(error) => return Err(error),
            };
            let line = reader.line_number();
            let limit = |held: usize, limit: usize, what: &'static str| match held < limit {
                true => Ok(()),
                false => Err(reader.error(LineProblem::TooMany { what, limit })),
            };
            match record {
                Record::Header(first) => header = Some(*first),
                Record::Range(record) => {
                    limit(ranges.len(), MAX_RANGES, "ranges")?;
                    open = record.addresses().map(|addresses| Open {
                        record,
                        addresses,
                        chunks: 0,
                        unreadable: Unreadables::new(),
                        line: None,
                    });
                }
                Record::Chunk(_) => count(&mut open, 1, line),
                Record::ZeroChunks(zeros) => count(&mut open, zeros.count, line),
                Record::Unreadable(record) => {
                    if let Some((range, addresses)) = open.as_mut().zip(record.addresses()) {
                        range.unreadable.push(addresses, record.errno());
                        let held = kept + range.unreadable.as_slice().len();
                        limit(held, MAX_UNREADABLE, "ranges of unreadable pages")?;
                    }
                }
                Record::RangeEnd(end) => {
                    let ended = open.take().map(|range| range.closed(Some(end)));
                    kept += ended.as_ref().map_or(0, |range| range.unreadable.len());
                    ranges.extend(ended);
                }
                Record::Artifacts(record) => late_artifacts = Some(*record),
                Record::Written(record) => written = Some(record),
                Record::Footer(last) => footer = Some(*last),
                _ => {}
            }
        }
        let is_cut = footer.is_none();
        let footer = footer.or_else(|| {
            let written = written?;
            Some(written.footer(Vec::new(), written.synced.clone()))
        });
        let open_line = open.as_ref().and_then(|range| range.line);
        ranges.extend(open.map(|range| range.closed(None)));
        let lines = reader.line_number();
        match header {
            Some(header) => Ok(Self {
                header,
                ranges,
                late_artifacts,
                footer,
                is_cut,
                lines,
                open_line,
            }),
            // The reader gives a header first, or an error.
            None => Err(early.unwrap_or_else(|| {
                reader.error(LineProblem::Unexpected {
                    found: "the end",
                    reason: "the header comes before it",
                })
            })),
        }
    }
}

fn count(open: &mut Option<Open>, chunks: u64, line: u64) {
    if let Some(range) = open {
        // The reader has counted them already, and refuses too many.
        range.chunks = range.chunks.saturating_add(chunks);
        range.line = Some(line);
    }
}

impl Open {
    fn closed(self, end: Option<RangeEnd>) -> ListedRange {
        ListedRange {
            record: self.record,
            addresses: self.addresses,
            chunks: self.chunks,
            unreadable: self.unreadable.as_slice().to_vec(),
            end,
        }
    }
}
