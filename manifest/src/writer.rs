// SPDX-License-Identifier: MIT OR Apache-2.0
//! Writing a manifest, line by line.

use crate::lines::MAX_LINE_BYTES;
use crate::sequence::Sequence;
use crate::{
    ArtifactsRecord, ChangedRecord, ChunkContent, ChunkRecord, Footer, Header, ImageChunk,
    LineProblem, ObjectRecord, RangeEnd, RangeRecord, Record, SecondPassRange, SecondPassStart,
    SecondPassTotals, Sha256Sum, Stamp, Tally, WrittenRecord, ZeroChunks,
};
use linpmem_phys::num::usize_as_u64;
use linpmem_phys::{PhysRange, Unreadables};
use std::io::{self, Write};

/// The most ranges of unreadable pages that wait with a line of zero chunks.
const MAX_ZERO_UNREADABLE: usize = 64;

/// Writes a manifest. The calls come in this order: [`new`](Self::new), for each range
/// [`begin_range`](Self::begin_range), [`chunk`](Self::chunk)s and
/// [`end_range`](Self::end_range), perhaps [`artifacts`](Self::artifacts), [`written`](Self::written) and
/// [`begin_second_pass`](Self::begin_second_pass), and [`finish`](Self::finish). A call
/// out of order is an error, and so is a chunk that is not the next.
#[derive(Debug)]
pub struct ManifestWriter<W> {
    out: W,
    /// Bytes written so far.
    length: u64,
    line: Vec<u8>,
    sequence: Sequence,
    zeros: Option<ZeroRun>,
    /// Whether a line could not be written: then none may follow.
    is_broken: bool,
}

/// Zero chunks that wait for more, to share a line.
#[derive(Debug)]
struct ZeroRun {
    record: ZeroChunks,
    /// The addresses of all of them.
    addresses: PhysRange,
    /// The last one.
    last: ImageChunk,
    unreadable: Unreadables,
}

impl<W: Write> ManifestWriter<W> {
    /// Begins the manifest.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn new(out: W, header: &Header) -> io::Result<Self> {
        let mut writer = Self {
            out,
            length: 0,
            line: Vec::new(),
            sequence: Sequence::default(),
            zeros: None,
            is_broken: false,
        };
        writer.put(&Record::Header(Box::new(header.clone())))?;
        writer.flush()?;
        Ok(writer)
    }

    /// Flushes everything so far to the output, and returns how many bytes that is.
    ///
    /// # Errors
    /// Those of the output.
    pub fn checkpoint(&mut self) -> io::Result<u64> {
        self.put_zeros()?;
        self.out.flush()?;
        Ok(self.length)
    }

    /// Flushes the lines so far to the output, so that a run that is killed leaves what was
    /// written.
    ///
    /// # Errors
    /// Those of the output.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// Begins a range.
    ///
    /// # Errors
    /// Those of the output.
    pub fn begin_range(&mut self, range: RangeRecord) -> io::Result<()> {
        self.put(&Record::Range(range))
    }

    /// Adds the next chunk of the range, and what could not be read of it.
    ///
    /// # Errors
    /// Those of the output, and if it is not the next chunk.
    pub fn chunk(&mut self, chunk: ImageChunk, unreadable: &Unreadables) -> io::Result<()> {
        let sha256 = match chunk.content {
            ChunkContent::Zero => return self.zero_chunk(chunk, unreadable),
            ChunkContent::Sha256(sha256) => sha256,
        };
        self.put_zeros()?;
        let record = Record::Chunk(ChunkRecord {
            sha256,
            read: chunk.read,
            frame: chunk.frame,
        });
        self.put_chunks(&record, chunk.addresses, unreadable)
    }

    /// Ends the range; `sha256_tree` is the Merkle root over its chunks.
    ///
    /// # Errors
    /// Those of the output.
    pub fn end_range(&mut self, sha256_tree: Sha256Sum) -> io::Result<()> {
        self.put_zeros()?;
        let range = self.sequence.range();
        let range = range.ok_or_else(|| io::Error::other("no range has begun"))?;
        let end = RangeEnd {
            written_bytes: range.written_bytes(),
            unreadable_pages: range.unreadable_pages(),
            sha256_tree,
            read_us: range.read(),
        };
        self.put(&Record::RangeEnd(end))
    }

    /// After the last range: records the artifacts that were collected since.
    ///
    /// # Errors
    /// Those of the output.
    pub fn artifacts(&mut self, artifacts: &ArtifactsRecord) -> io::Result<()> {
        self.put(&Record::Artifacts(Box::new(artifacts.clone())))
    }

    /// After the last range: records that the image is whole and on the disk, and flushes
    /// that.
    ///
    /// # Errors
    /// Those of the output.
    pub fn written(&mut self, written: &WrittenRecord) -> io::Result<()> {
        self.put(&Record::Written(Box::new(written.clone())))?;
        self.out.flush()
    }

    /// After the last range: records an object of a store that has the image, or part of it.
    ///
    /// # Errors
    /// Those of the output.
    pub fn object(&mut self, object: &ObjectRecord) -> io::Result<()> {
        self.put(&Record::Object(Box::new(object.clone())))
    }

    /// After the last range: begins the findings of a second pass.
    ///
    /// # Errors
    /// Those of the output.
    pub fn begin_second_pass(&mut self, started: &Stamp) -> io::Result<SecondPassWriter<'_, W>> {
        self.put(&Record::SecondPass(SecondPassStart {
            started: started.clone(),
        }))?;
        Ok(SecondPassWriter { manifest: self })
    }

    /// Ends the manifest, and returns the output.
    ///
    /// # Errors
    /// Those of the output.
    pub fn finish(mut self, footer: &Footer) -> io::Result<W> {
        self.put(&Record::Footer(Box::new(footer.clone())))?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn zero_chunk(&mut self, chunk: ImageChunk, unreadable: &Unreadables) -> io::Result<()> {
        if let Some(zeros) = &mut self.zeros {
            if zeros.extend(chunk, unreadable) {
                return Ok(());
            }
            self.put_zeros()?;
        }
        self.zeros = Some(ZeroRun {
            record: ZeroChunks {
                count: 1,
                read_us: chunk.read,
                frame: chunk.frame,
            },
            addresses: chunk.addresses,
            last: chunk,
            unreadable: unreadable.clone(),
        });
        Ok(())
    }

    /// Writes the zero chunks that waited for more.
    fn put_zeros(&mut self) -> io::Result<()> {
        let Some(zeros) = self.zeros.take() else {
            return Ok(());
        };
        let record = Record::ZeroChunks(zeros.record);
        self.put_chunks(&record, zeros.addresses, &zeros.unreadable)
    }

    fn put_chunks(
        &mut self,
        record: &Record,
        addresses: PhysRange,
        unreadable: &Unreadables,
    ) -> io::Result<()> {
        self.put(record)?;
        let range = self.sequence.range();
        let latest = range.and_then(|range| Some((range.index, range.latest?)));
        if let Some((range, _)) = latest.filter(|(_, latest)| latest.addresses != addresses) {
            self.is_broken = true;
            let found = addresses;
            return Err(io::Error::other(LineProblem::NotNext { range, found }));
        }
        for &item in unreadable.as_slice() {
            self.put(&Record::Unreadable(item.into()))?;
        }
        Ok(())
    }

    /// Writes a line.
    fn put(&mut self, record: &Record) -> io::Result<()> {
        if self.is_broken {
            return Err(io::Error::other(
                "an earlier line could not be written, so that nothing can follow it",
            ));
        }
        self.sequence.pass(record).map_err(io::Error::other)?;
        // Until the line is complete.
        self.is_broken = true;
        self.line.clear();
        record.write_line(&mut self.line)?;
        if self.line.len() > MAX_LINE_BYTES {
            return Err(io::Error::other(format!(
                "the {} line would have {} bytes, more than the limit of {MAX_LINE_BYTES}",
                record.name(),
                self.line.len()
            )));
        }
        self.out.write_all(&self.line)?;
        self.length += usize_as_u64(self.line.len());
        self.is_broken = false;
        Ok(())
    }
}

impl ZeroRun {
    /// Adds `chunk`, if it can share the line.
    fn extend(&mut self, chunk: ImageChunk, unreadable: &Unreadables) -> bool {
        let frame = self.last.frame.map(crate::FrameRecord::next);
        let is_next = frame == chunk.frame.map(Some)
            && self.addresses.end() == chunk.addresses.start()
            && self.record.count < ZeroChunks::MAX_COUNT
            && self.unreadable.as_slice().len() < MAX_ZERO_UNREADABLE;
        let addresses = PhysRange::new(self.addresses.start(), chunk.addresses.end());
        let Some(addresses) = addresses.ok().filter(|_| is_next) else {
            return false;
        };
        self.addresses = addresses;
        self.record.count += 1;
        self.record.read_us = self.record.read_us.until(chunk.read);
        self.last = chunk;
        self.unreadable.append(unreadable);
        true
    }
}

/// Writes the lines of a second pass: [`changed`](Self::changed) as often as needed and
/// [`range`](Self::range), for each range; then [`finish`](Self::finish).
#[derive(Debug)]
pub struct SecondPassWriter<'a, W> {
    manifest: &'a mut ManifestWriter<W>,
}

impl<W: Write> SecondPassWriter<'_, W> {
    /// Records that each of these pages has changed, in `bytes` bytes together.
    ///
    /// # Errors
    /// Those of the output.
    pub fn changed(&mut self, range: PhysRange, bytes: u64) -> io::Result<()> {
        self.manifest.put(&Record::Changed(ChangedRecord {
            start: range.start().into(),
            last: range.last().into(),
            pages: range.len().pages(),
            changed_bytes: bytes,
        }))
    }

    /// Records that all of `range` has been read again.
    ///
    /// # Errors
    /// Those of the output.
    pub fn range(&mut self, range: PhysRange, tally: Tally) -> io::Result<()> {
        self.manifest.put(&Record::SecondPassRange(SecondPassRange {
            start: range.start().into(),
            last: range.last().into(),
            pages: tally.pages,
            changed_pages: tally.different_pages,
            changed_bytes: tally.different_bytes,
            unreadable_pages: tally.unreadable_pages,
        }))
    }

    /// Ends the second pass, which ended early because of `error`, if there is one.
    ///
    /// # Errors
    /// Those of the output.
    pub fn finish(
        self,
        total: Tally,
        error: Option<String>,
        ended: Stamp,
    ) -> io::Result<SecondPassTotals> {
        let totals = SecondPassTotals {
            pages: total.pages,
            changed_pages: total.different_pages,
            changed_bytes: total.different_bytes,
            unreadable_pages: total.unreadable_pages,
            error,
            ended,
        };
        self.manifest.put(&Record::SecondPassEnd(totals.clone()))?;
        Ok(totals)
    }
}
