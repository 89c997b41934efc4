// SPDX-License-Identifier: MIT OR Apache-2.0
//! The comparison: one thread reads the file from front to back, others hash.

use super::layout::{Chunk, Layout};
use crate::digest::Sha256Sum;
use crate::measure::{in_memory, len_bytes};
use crate::pipeline::{Buffer, CHUNK_BYTES, Feed, HashThread, Pool};
use crate::progress::Meter;
use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use rustix::fs::{SeekFrom, seek};
use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::num::NonZeroUsize;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::thread::Builder;
use zstd::bulk::Decompressor;

/// What was found in the file.
#[derive(Debug)]
pub struct Found {
    /// Bytes of the file.
    pub length: u64,
    /// Of as many bytes of it as the manifest says that there are; none if there
    /// are fewer.
    pub sha256: Option<Sha256Sum>,
    /// One for each range; none if it is not all there.
    pub ranges: Vec<Option<Sha256Sum>>,
    /// Chunks that are not as they should be, by their number in the layout.
    pub chunks: Vec<(usize, Fault)>,
}

/// What is wrong with a chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Its sum is another.
    Differs,
    /// The file ends before it does.
    Missing,
    /// It does not decompress.
    Damaged,
    /// Its bytes are right, but other pages are marked as unreadable.
    Marks,
    /// The disk does not give it.
    Unreadable(String),
}

/// A comparison that could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckError {
    /// No threads or no memory.
    #[error("starting to verify: {0}")]
    Start(#[source] io::Error),
    /// A thread ended without a reason.
    #[error("a thread panicked; this is a bug in linpmem-dump")]
    Panicked,
}

/// Buffers beside those that the workers hold.
const SPARE_BUFFERS: usize = 4;

/// Hashes the whole of `file`, which has `length` bytes.
pub fn check(
    file: &File,
    length: u64,
    layout: &Layout<'_>,
    workers: NonZeroUsize,
    meter: &Meter,
) -> Result<Found, CheckError> {
    let buffers = workers.get().saturating_add(SPARE_BUFFERS);
    let bytes = layout.chunk_bytes.max(CHUNK_BYTES);
    let pool = Pool::new(buffers, bytes, 0);
    std::thread::scope(|scope| {
        let (jobs, queue) = bounded::<Job>(buffers);
        let (faults, found) = unbounded();
        for number in 0..workers.get() {
            let (queue, faults) = (queue.clone(), faults.clone());
            Builder::new()
                .name(format!("work-{number}"))
                .spawn_scoped(scope, move || compare(&queue, &faults, layout))
                .map_err(CheckError::Start)?;
        }
        let mut reading = Reading {
            file,
            length,
            layout,
            pool,
            jobs,
            faults,
            file_sum: HashThread::spawn(scope, "sum-file").map_err(CheckError::Start)?,
            range_sum: HashThread::spawn(scope, "sum-range").map_err(CheckError::Start)?,
            decompressor: Decompressor::new().map_err(CheckError::Start)?,
            zero_sums: HashMap::new(),
            meter,
            position: 0,
        };
        let ranges = reading.run();
        let is_all_there = length >= layout.manifest.file.length;
        let sha256 = match is_all_there {
            true => Some(reading.file_sum.finish().ok_or(CheckError::Panicked)?),
            false => None,
        };
        drop(reading);
        drop(queue);
        let mut chunks: Vec<_> = found.iter().collect();
        chunks.sort_unstable_by_key(|&(index, _)| index);
        Ok(Found {
            length,
            sha256,
            ranges,
            chunks,
        })
    })
}

struct Job {
    index: usize,
    buffer: Arc<Buffer>,
}

fn compare(jobs: &Receiver<Job>, faults: &Sender<(usize, Fault)>, layout: &Layout<'_>) {
    for job in jobs {
        let expected = layout
            .chunks
            .get(job.index)
            .map(|chunk| chunk.record.sha256);
        if expected != Some(Sha256Sum::of(job.buffer.data())) {
            let _ = faults.send((job.index, Fault::Differs));
        }
    }
}

/// The reading thread's state.
struct Reading<'a> {
    file: &'a File,
    length: u64,
    layout: &'a Layout<'a>,
    pool: Pool,
    jobs: Sender<Job>,
    faults: Sender<(usize, Fault)>,
    file_sum: HashThread,
    range_sum: HashThread,
    decompressor: Decompressor<'static>,
    zero_sums: HashMap<u64, Sha256Sum>,
    meter: &'a Meter,
    /// Bytes of the file that were passed.
    position: u64,
}

impl Reading<'_> {
    /// Reads the file up to the length that the manifest has, and gives the sums
    /// of the ranges.
    fn run(&mut self) -> Vec<Option<Sha256Sum>> {
        let mut sums = Vec::with_capacity(self.layout.manifest.ranges.len());
        let mut index = 0;
        for range in &self.layout.manifest.ranges {
            let mut is_all_there = true;
            for _ in &range.chunks {
                if let Some(chunk) = self.layout.chunks.get(index).copied() {
                    let checked = match chunk.offset {
                        Some(offset) => {
                            self.gap(offset);
                            self.chunk(index, &chunk, offset)
                        }
                        None => Err(Fault::Missing),
                    };
                    if let Err(fault) = checked {
                        is_all_there = false;
                        let _ = self.faults.send((index, fault));
                    }
                }
                index += 1;
            }
            // Taken even if it is of no use, so that the next sum begins anew.
            let sum = self.range_sum.finish();
            sums.push(sum.filter(|_| is_all_there));
        }
        self.gap(self.layout.manifest.file.length);
        sums
    }

    /// Passes over bytes that belong to no chunk: headers, padding, a seek table.
    fn gap(&mut self, end: u64) {
        let end = end.min(self.length);
        while self.position < end {
            let left = end - self.position;
            let hole = self.hole(left);
            if hole > 0 {
                self.file_sum.feed(Feed::Zeros(hole));
                self.pass(hole);
                continue;
            }
            let step = left.min(len_bytes(&[0_u8; CHUNK_BYTES]));
            let Some(mut buffer) = self.pool.take(in_memory(step)) else {
                return;
            };
            // What the disk does not give is zero here, and so the sum differs.
            if self
                .file
                .read_exact_at(buffer.data_mut(), self.position)
                .is_err()
            {
                buffer.data_mut().fill(0);
            }
            self.file_sum.feed(Feed::Data(Arc::new(buffer)));
            self.pass(step);
        }
    }

    fn chunk(&mut self, index: usize, chunk: &Chunk<'_>, offset: u64) -> Result<(), Fault> {
        if offset.saturating_add(chunk.length) > self.length {
            self.position = self.length;
            return Err(Fault::Missing);
        }
        let result = if chunk.record.frame.is_some() {
            self.compressed_chunk(index, chunk, offset)
        } else if self.hole(chunk.length) == chunk.length {
            self.zero_chunk(index, chunk);
            Ok(())
        } else {
            self.plain_chunk(index, chunk, offset)
        };
        self.pass(chunk.length);
        result
    }

    fn zero_chunk(&mut self, index: usize, chunk: &Chunk<'_>) {
        let len = chunk.length;
        self.file_sum.feed(Feed::Zeros(len));
        self.range_sum.feed(Feed::Zeros(len));
        let sum = *self
            .zero_sums
            .entry(len)
            .or_insert_with(|| Sha256Sum::of(&vec![0; in_memory(len)]));
        if sum != chunk.record.sha256 {
            let _ = self.faults.send((index, Fault::Differs));
        }
    }

    fn plain_chunk(&mut self, index: usize, chunk: &Chunk<'_>, offset: u64) -> Result<(), Fault> {
        let mut buffer = self.buffer(chunk.length)?;
        self.file
            .read_exact_at(buffer.data_mut(), offset)
            .map_err(unreadable)?;
        let buffer = Arc::new(buffer);
        self.file_sum.feed(Feed::Data(Arc::clone(&buffer)));
        self.range_sum.feed(Feed::Data(Arc::clone(&buffer)));
        let _ = self.jobs.send(Job { index, buffer });
        Ok(())
    }

    fn compressed_chunk(
        &mut self,
        index: usize,
        chunk: &Chunk<'_>,
        offset: u64,
    ) -> Result<(), Fault> {
        let mut frame = self.buffer(chunk.length)?;
        self.file
            .read_exact_at(frame.data_mut(), offset)
            .map_err(unreadable)?;
        let mut buffer = self.buffer(chunk.record.length)?;
        let len = self
            .decompressor
            .decompress_to_buffer(frame.data(), buffer.data_mut());
        self.file_sum.feed(Feed::Data(Arc::new(frame)));
        match len {
            Ok(len) if len_bytes(buffer.data()) == u64::try_from(len).unwrap_or(0) => {}
            _ => return Err(Fault::Damaged),
        }
        let buffer = Arc::new(buffer);
        self.range_sum.feed(Feed::Data(Arc::clone(&buffer)));
        let _ = self.jobs.send(Job { index, buffer });
        Ok(())
    }

    fn buffer(&self, len: u64) -> Result<Buffer, Fault> {
        self.pool
            .take(in_memory(len))
            .ok_or_else(|| Fault::Unreadable("no buffer".to_owned()))
    }

    /// How many of the next `len` bytes lie in a hole of a sparse file.
    fn hole(&self, len: u64) -> u64 {
        let data = match seek(self.file, SeekFrom::Data(self.position)) {
            Ok(data) => data,
            Err(rustix::io::Errno::NXIO) => self.length,
            Err(_) => self.position,
        };
        data.saturating_sub(self.position).min(len)
    }

    fn pass(&mut self, len: u64) {
        self.position = self.position.saturating_add(len);
        self.meter.add_written(len, self.position);
    }
}

fn unreadable(error: io::Error) -> Fault {
    Fault::Unreadable(error.to_string())
}
