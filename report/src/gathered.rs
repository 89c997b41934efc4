// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a page needs of a manifest, read once from front to back.

use crate::draw::{Cell, Row};
use crate::heat::Heat;
use crate::scale::Scale;
use crate::timeline::Timeline;
use linpmem_manifest::{
    ArtifactsRecord, Footer, Header, RangeRecord, ReadError, Reader, Record, SecondPassTotals,
    UnreadableRecord, WrittenRecord,
};
use linpmem_phys::{PhysRange, RegionKind, Unreadable, Unreadables};
use std::collections::BTreeMap;
use std::io::BufRead;

/// Ranges of unreadable pages that are listed; the others are counted.
pub(crate) const MOST_UNREADABLE: usize = 256;

/// Memory of one kind.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct OfKind {
    /// Bytes that the machine has.
    pub(crate) listed: u64,
    /// Bytes that were asked for.
    pub(crate) requested: u64,
    /// Bytes that are in the image.
    pub(crate) written: u64,
    pub(crate) unreadable_pages: u64,
}

/// What there is to be shown of an acquisition.
#[derive(Debug)]
pub struct Gathered {
    pub(crate) header: Header,
    pub(crate) kinds: BTreeMap<&'static str, OfKind>,
    pub(crate) scale: Scale,
    pub(crate) map: Row,
    pub(crate) timeline: Timeline,
    pub(crate) heat: Heat,
    pub(crate) unreadable: Vec<Unreadable>,
    /// Ranges of unreadable pages, with those that are not listed.
    pub(crate) unreadable_ranges: u64,
    pub(crate) unreadable_pages: u64,
    pub(crate) written_bytes: u64,
    pub(crate) ranges: u64,
    pub(crate) late_artifacts: Option<Box<ArtifactsRecord>>,
    pub(crate) written: Option<WrittenRecord>,
    pub(crate) second_pass: Option<SecondPassTotals>,
    /// None if the run was killed before it could say how it ended.
    pub(crate) footer: Option<Footer>,
}

/// The range whose chunks come next.
struct Open {
    record: RangeRecord,
    addresses: PhysRange,
    /// Bytes of the range whose chunks were seen.
    seen: u64,
}

impl Gathered {
    /// Reads the manifest of `reader`, also one that ends early.
    ///
    /// # Errors
    /// If it cannot be read, or is none.
    pub fn read<R: BufRead>(mut reader: Reader<R>) -> Result<Self, ReadError> {
        let header = match reader.next() {
            Some(Ok(Record::Header(header))) => *header,
            Some(Err(error)) => return Err(error),
            Some(Ok(_)) | None => {
                return Err(reader.error(linpmem_manifest::LineProblem::Unexpected {
                    found: "something else",
                    reason: "the header comes first",
                }));
            }
        };
        let mut gathered = Self::of(header);
        let mut open = None;
        let mut failed = Unreadables::new();
        for record in reader {
            match record {
                Ok(record) => gathered.take(record, &mut open, &mut failed),
                // What it says up to there holds.
                Err(ReadError::Truncated { .. }) => break,
                Err(error) => return Err(error),
            }
        }
        gathered.list(&failed);
        Ok(gathered)
    }

    fn of(header: Header) -> Self {
        let mut kinds: BTreeMap<&'static str, OfKind> = BTreeMap::new();
        let mut listed = Vec::new();
        for entry in &header.map {
            let Some(range) = entry.addresses() else {
                continue;
            };
            let kind = RegionKind::from_name(&entry.kind);
            let is_memory = !matches!(kind, RegionKind::Device | RegionKind::Hole);
            if is_memory || entry.requested {
                listed.push(range);
                let of_kind = kinds.entry(kind.name()).or_default();
                let bytes = range.len().get();
                of_kind.listed = of_kind.listed.saturating_add(bytes);
                if entry.requested {
                    of_kind.requested = of_kind.requested.saturating_add(bytes);
                }
            }
        }
        listed.sort_by_key(|range| range.start());
        let scale = Scale::of(&listed);
        let mut map = Row::default();
        for range in &listed {
            map.mark(&scale, *range, Cell::NotRead);
        }
        Self {
            header,
            kinds,
            scale,
            map,
            timeline: Timeline::default(),
            heat: Heat::default(),
            unreadable: Vec::new(),
            unreadable_ranges: 0,
            unreadable_pages: 0,
            written_bytes: 0,
            ranges: 0,
            late_artifacts: None,
            written: None,
            second_pass: None,
            footer: None,
        }
    }

    fn take(&mut self, record: Record, open: &mut Option<Open>, failed: &mut Unreadables) {
        match record {
            Record::Range(record) => {
                self.ranges += 1;
                *open = record.addresses().map(|addresses| Open {
                    record,
                    addresses,
                    seen: 0,
                });
            }
            Record::Chunk(chunk) => {
                let bytes = self.pass(open.as_mut(), 1);
                self.timeline.add(chunk.read, bytes);
            }
            Record::ZeroChunks(zeros) => {
                let bytes = self.pass(open.as_mut(), zeros.count);
                self.timeline.add(zeros.read_us, bytes);
            }
            Record::Unreadable(record) => self.unreadable(&record, open.as_ref(), failed),
            Record::RangeEnd(end) => {
                if let Some(open) = open.take() {
                    let of_kind = self.kinds.entry(open.record.kind().name()).or_default();
                    of_kind.written = of_kind.written.saturating_add(end.written_bytes);
                    self.written_bytes = self.written_bytes.saturating_add(end.written_bytes);
                }
            }
            Record::Artifacts(record) => self.late_artifacts = Some(record),
            Record::Written(written) => self.written = Some(*written),
            Record::Changed(changed) => {
                let (first, last) = (changed.start.0, changed.last.0);
                self.heat.changed(&self.scale, first, last, changed.pages);
            }
            Record::SecondPassRange(range) => {
                let (first, last) = (range.start.0, range.last.0);
                self.heat.compared(&self.scale, first, last, range.pages);
            }
            Record::SecondPassEnd(totals) => self.second_pass = Some(totals),
            Record::Footer(footer) => self.footer = Some(*footer),
            // The others have nothing that is drawn.
            _ => {}
        }
    }

    /// Passes the next `count` chunks of the range that is `open`. Returns their bytes.
    fn pass(&mut self, open: Option<&mut Open>, count: u64) -> u64 {
        let Some(open) = open else { return 0 };
        let step = self.header.image.chunk_bytes.max(1);
        let first = open.addresses.start().get().saturating_add(open.seen);
        // Chunks end at multiples of their size.
        let end = (first / step)
            .saturating_add(count)
            .saturating_mul(step)
            .min(open.addresses.last().get().saturating_add(1));
        let bytes = end.saturating_sub(first);
        open.seen = open.seen.saturating_add(bytes);
        let cell = match open.record.kind() {
            RegionKind::SystemRam => Cell::Ram,
            _ => Cell::Other,
        };
        if bytes > 0 {
            self.map
                .mark_between(&self.scale, first, end.saturating_sub(1), cell);
        }
        bytes
    }

    fn unreadable(
        &mut self,
        record: &UnreadableRecord,
        open: Option<&Open>,
        failed: &mut Unreadables,
    ) {
        let Some(range) = record.addresses() else {
            return;
        };
        self.map.mark(&self.scale, range, Cell::Unreadable);
        self.unreadable_pages = self.unreadable_pages.saturating_add(record.pages);
        if let Some(open) = open {
            let of_kind = self.kinds.entry(open.record.kind().name()).or_default();
            of_kind.unreadable_pages = of_kind.unreadable_pages.saturating_add(record.pages);
        }
        failed.push(range, record.errno());
        if failed.as_slice().len() > MOST_UNREADABLE {
            self.list(failed);
            *failed = Unreadables::new();
        }
    }

    /// Lists those of `failed` for which there is room.
    fn list(&mut self, failed: &Unreadables) {
        let room = MOST_UNREADABLE.saturating_sub(self.unreadable.len());
        let listed = failed.as_slice().iter().take(room);
        self.unreadable.extend(listed.copied());
        let count = u64::try_from(failed.as_slice().len()).unwrap_or(u64::MAX);
        self.unreadable_ranges = self.unreadable_ranges.saturating_add(count);
    }

    /// The name of the image's format.
    #[must_use]
    pub fn format(&self) -> &str {
        &self.header.image.format
    }

    /// Whether the image as a whole is compressed, so that other tools need a plain one.
    #[must_use]
    pub fn is_framed(&self) -> bool {
        let image = &self.header.image;
        matches!(&*image.format, "elf" | "raw" | "lime") && image.compression != "none"
    }

    /// The words of the command line of the acquisition.
    #[must_use]
    pub fn command(&self) -> &[String] {
        &self.header.command
    }

    pub(crate) fn artifacts(&self) -> Option<&ArtifactsRecord> {
        let in_header = self.header.artifacts.as_ref();
        in_header.or(self.late_artifacts.as_deref())
    }
}
