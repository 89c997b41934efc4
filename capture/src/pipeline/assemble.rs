// SPDX-License-Identifier: MIT OR Apache-2.0
//! The writing end: puts chunks in order, and into the image and the manifest.

use super::out::{ImageStream, Streamed};
use super::read::{ReadTime, places};
use super::run::{Acquisition, RunError};
use super::work::{FinishedChunk, ZeroChunks};
use crate::clock::{Moment, monotonic_ns};
use crate::embedded_manifest::{Checkpoint, EmbeddedManifest};
use crate::frame::FrameEncoder;
use crate::hash::MerkleTree;
use crate::meter::Meter;
use crate::stop::StopReason;
use linpmem_formats::{Chunk, Codec, ImagePlan, ImageWriter, WriteError};
use linpmem_manifest::{
    ArtifactsRecord, ChunkContent, ImageChunk, ManifestWriter, RangeRecord, ReadSpan,
};
use linpmem_phys::num::{u64_as_usize, usize_as_u64};
use linpmem_phys::{Errno, Unreadable, Unreadables, ZeroBlocks};
use std::collections::BTreeMap;
use std::io::Write;

/// Unreadable ranges that the summary shows.
const SHOWN: usize = 5;

/// Puts chunks back in order and writes them.
pub struct Assembly<'a, W> {
    plan: &'a ImagePlan,
    writer: &'a mut dyn ImageWriter,
    stream: ImageStream<'a>,
    manifest: &'a mut ManifestWriter<W>,
    started: Moment,
    meter: &'a Meter,
    /// Chunks that arrived before their turn: never more than may be in flight.
    early: BTreeMap<u64, FinishedChunk>,
    next: u64,
    range: Option<OpenRange>,
    /// Bytes of memory, over all ranges.
    written: u64,
    /// Bytes of memory that were read.
    read_bytes: u64,
    /// When they were read.
    read: Option<ReadSpan>,
    /// The Merkle tree over the chunks of all ranges.
    tree: MerkleTree,
    unreadable_pages: u64,
    first_unreadable: Vec<Unreadable>,
    embedded: &'a EmbeddedManifest,
    after: &'a mut dyn AfterMemory,
    /// Why the run was stopped before its end.
    stopped: Option<String>,
}

/// What is done when all memory has been read and written, before the image ends.
pub trait AfterMemory {
    /// Does it; the file has `file_bytes` by now. Returns the artifacts that were collected,
    /// and what the user should know.
    fn memory_is_read(&mut self, file_bytes: u64) -> (Option<ArtifactsRecord>, Vec<String>);
}

/// Nothing.
impl AfterMemory for () {
    fn memory_is_read(&mut self, _: u64) -> (Option<ArtifactsRecord>, Vec<String>) {
        (None, Vec::new())
    }
}

/// The range that is being written.
struct OpenRange {
    index: usize,
    tree: MerkleTree,
}

impl<'a, W: Write> Assembly<'a, W> {
    /// An assembler for the image of `acquisition`.
    pub fn new(
        acquisition: &Acquisition<'a>,
        writer: &'a mut dyn ImageWriter,
        stream: ImageStream<'a>,
        manifest: &'a mut ManifestWriter<W>,
        embedded: &'a EmbeddedManifest,
        after: &'a mut dyn AfterMemory,
    ) -> Self {
        let Acquisition {
            plan,
            started,
            meter,
            ..
        } = *acquisition;
        Self {
            plan,
            writer,
            stream,
            manifest,
            started,
            meter,
            early: BTreeMap::new(),
            next: 0,
            range: None,
            written: 0,
            read_bytes: 0,
            read: None,
            tree: MerkleTree::default(),
            unreadable_pages: 0,
            first_unreadable: Vec::new(),
            embedded,
            after,
            stopped: None,
        }
    }

    /// Writes what comes before the first chunk.
    pub fn begin(&mut self) -> Result<(), RunError> {
        Ok(self.writer.begin(&mut self.stream)?)
    }

    /// Takes a chunk. If it is its turn, writes it and the chunks that waited for it.
    pub fn take(&mut self, chunk: FinishedChunk) -> Result<(), RunError> {
        self.early.insert(chunk.sequence, chunk);
        while let Some(chunk) = self.early.remove(&self.next) {
            let len = chunk.place.range.len().get();
            let read = self.span(chunk.time);
            self.write(chunk)?;
            self.read = Some(self.read.map_or(read, |before| before.until(read)));
            self.next += 1;
            self.read_bytes += len;
            self.meter.add_written(len, self.stream.file_position());
        }
        Ok(())
    }

    /// After an early end: gives the image its planned form nevertheless, so that every tool
    /// opens it. What was not read is zero in it and listed as unreadable. If that would
    /// take time or disk space, the image ends here.
    pub fn fill(&mut self, codec: Codec, reason: StopReason) -> Result<(), RunError> {
        if self.is_whole() || !self.stream.has_free_holes() {
            return Ok(());
        }
        self.stopped = Some(reason.to_string());
        self.stream.forgo_hashes();
        let mut encoder = FrameEncoder::new(codec).map_err(RunError::Compress)?;
        let mut zero_chunks = ZeroChunks::default();
        let now = monotonic_ns();
        let done = u64_as_usize(self.next);
        for (sequence, place) in (self.next..).zip(places(self.plan).skip(done)) {
            let len = u64_as_usize(place.range.len().get());
            let known = zero_chunks
                .get(len, encoder.as_mut())
                .map_err(RunError::Compress)?;
            let mut unreadable = Unreadables::new();
            unreadable.push(place.range, Errno::ECANCELED);
            self.write(FinishedChunk {
                sequence,
                turn: None,
                place,
                data: known.data,
                zeros: ZeroBlocks::zero(),
                frame: known.frame,
                sha256: known.sha256,
                unreadable,
                time: ReadTime {
                    begin_ns: now,
                    end_ns: now,
                },
            })?;
        }
        Ok(())
    }

    /// Whether every planned byte was written.
    pub fn is_whole(&self) -> bool {
        self.written == self.plan.total().get()
    }

    /// Ends the image, complete or not. After an error, less is known about the file.
    pub fn finish(mut self) -> (Finished, Result<(), RunError>) {
        let (file, ended) = match self.end() {
            Ok(()) => {
                let (file, ended) = self.stream.finish();
                (file, ended.map_err(RunError::Sink))
            }
            Err(error) => (self.stream.abandon(), Err(error)),
        };
        let finished = Finished {
            file,
            tree: self.tree,
            read_bytes: self.read_bytes,
            read: self.read,
            unreadable_pages: self.unreadable_pages,
            first_unreadable: self.first_unreadable,
        };
        (finished, ended)
    }

    /// Closes what is open in the manifest after a failed write.
    pub fn abandon(mut self) -> Finished {
        // If this fails too, the manifest is truncated, which its readers notice.
        let _ = self.end_range();
        Finished {
            file: self.stream.abandon(),
            tree: self.tree,
            read_bytes: self.read_bytes,
            read: self.read,
            unreadable_pages: self.unreadable_pages,
            first_unreadable: self.first_unreadable,
        }
    }

    fn end(&mut self) -> Result<(), RunError> {
        self.end_range()?;
        if self.is_whole() {
            let (artifacts, warnings) = self.after.memory_is_read(self.stream.file_position());
            if let Some(artifacts) = artifacts {
                let recorded = self.manifest.artifacts(&artifacts);
                recorded.map_err(RunError::Manifest)?;
            }
            // Some formats contain the manifest, as far as it is known here.
            let manifest_bytes = self.manifest.checkpoint().map_err(RunError::Manifest)?;
            self.embedded.complete(Checkpoint {
                manifest_bytes,
                sha256_tree: self.tree.root(),
                unreadable_pages: self.unreadable_pages,
                stopped: self.stopped.take(),
                warnings,
            });
            self.writer.finish(&mut self.stream)?;
        }
        Ok(())
    }

    fn write(&mut self, chunk: FinishedChunk) -> Result<(), RunError> {
        let place = chunk.place;
        if self.range.as_ref().map(|range| range.index) != Some(place.range_index) {
            self.end_range()?;
            self.begin_range(place.range_index)?;
        }
        let len = place.range.len().get();
        let bytes = Chunk {
            start: place.range.start(),
            data: chunk.data,
            zeros: chunk.zeros,
            frame: chunk.frame,
            unreadable: chunk.unreadable.as_slice(),
        };
        self.writer.chunk(&bytes, &mut self.stream)?;
        let record = ImageChunk {
            addresses: place.range,
            content: match bytes.is_zero() {
                true => ChunkContent::Zero,
                false => ChunkContent::Sha256(chunk.sha256),
            },
            read: self.span(chunk.time),
            frame: self.stream.take_frame(),
        };
        self.manifest
            .chunk(record, &chunk.unreadable)
            .and_then(|()| self.manifest.flush())
            .map_err(RunError::Manifest)?;
        self.tree.push(chunk.sha256);
        if let Some(range) = &mut self.range {
            range.tree.push(chunk.sha256);
        }
        for item in chunk.unreadable.as_slice() {
            self.unreadable_pages += item.range.len().pages();
            if self.first_unreadable.len() < SHOWN {
                self.first_unreadable.push(*item);
            }
        }
        self.written += len;
        // The reader may go on.
        drop(chunk.turn);
        Ok(())
    }

    /// A time as the manifest records it.
    fn span(&self, time: ReadTime) -> ReadSpan {
        let [begin_us, end_us] =
            [time.begin_ns, time.end_ns].map(|moment| self.started.micros_until(moment));
        ReadSpan::between(begin_us, end_us)
    }

    fn begin_range(&mut self, index: usize) -> Result<(), RunError> {
        let lacking = || WriteError::Unsupported(format!("the plan has no range {index}"));
        let planned = self.plan.ranges().get(index).ok_or_else(lacking)?;
        let record = RangeRecord {
            index: usize_as_u64(index),
            start: planned.range.start().into(),
            last: planned.range.last().into(),
            kind: planned.kind.name().to_owned(),
            file_offset: self.writer.data_offset(index),
        };
        self.range = Some(OpenRange {
            index,
            tree: MerkleTree::default(),
        });
        self.manifest
            .begin_range(record)
            .and_then(|()| self.manifest.flush())
            .map_err(RunError::Manifest)
    }

    fn end_range(&mut self) -> Result<(), RunError> {
        let Some(range) = self.range.take() else {
            return Ok(());
        };
        self.manifest
            .end_range(range.tree.root())
            .map_err(RunError::Manifest)
    }
}

/// What was assembled.
#[derive(Debug, Default)]
pub struct Finished {
    /// The output file.
    pub file: Streamed,
    /// The Merkle tree over all chunks.
    pub tree: MerkleTree,
    /// Bytes of memory that were read and written.
    pub read_bytes: u64,
    /// When they were read.
    pub read: Option<ReadSpan>,
    /// Pages that could not be read, over all ranges.
    pub unreadable_pages: u64,
    /// The first unreadable ranges.
    pub first_unreadable: Vec<Unreadable>,
}
