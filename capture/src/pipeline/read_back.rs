// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reading the image back from the disk, for the hashes that have not seen all of it.
//!
//! Whatever is read back is compared with what was in memory when it was written: chunks by
//! their SHA-256 sums, which are read from the manifest, and all else by a hash that was
//! computed on the way. So the hash of the file is that of what was read from memory, or the
//! run fails and says what the disk has lost.

use super::CHUNK_BYTES;
use super::hash::{Feed, hash_zeros};
use super::out::Streamed;
use super::unseen::{Known, Unhashed};
use crate::buffer::{Pool, Pooled};
use crate::frame::{FrameDecoder, FrameEncoder};
use crate::hash::{Hasher, RemainderDigest, sha256};
use crate::meter::Meter;
use crate::sink::{WrittenFile, hole};
use crate::stop::{Stop, StopReason};
use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender, bounded};
use linpmem_formats::{ImagePlan, ImageWriter};
use linpmem_manifest::{
    ChunkContent, Chunks, FurtherHash, ListedChunk, ReadBackRecord, ReadError, Reader,
};
use linpmem_phys::num::{len_bytes, u64_as_usize, usize_as_u64};
use linpmem_phys::{PageBuffer, PhysRange};
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::{Builder, Scope, ScopedJoinHandle};

/// Pieces that wait for a thread.
const QUEUE: usize = 2;

/// The most threads that compare chunks: each holds a chunk, and for a compressed image its
/// content, of the memory of the machine. One thread hashes the file meanwhile, and each of
/// these is about as fast.
const MAX_WORKERS: usize = 3;

/// Buffers besides those that wait for the slowest hash and that the workers hold.
const SPARE_BUFFERS: usize = 3;

/// An image that was written, and what is needed to read it back.
pub struct ReadBack<'a> {
    /// The image's file.
    pub file: &'a File,
    /// The manifest up to here.
    pub manifest: Box<dyn Read + 'a>,
    /// What the image contains.
    pub plan: &'a ImagePlan,
    /// Who wrote it, and knows where chunks are.
    pub writer: &'a dyn ImageWriter,
    /// Threads that compare chunks.
    pub workers: NonZeroUsize,
    /// Raised to end early.
    pub stop: &'a Stop,
    /// Counts the progress.
    pub meter: &'a Meter,
}

/// An image that was not read back to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadBackError {
    /// It was asked to stop. The image is whole nevertheless.
    #[error("{0} while the image was read back from the disk")]
    Stopped(StopReason),
    /// The disk does not give it back.
    #[error(
        "the image was written, but cannot be read back from offset {offset:#x} on: {source}; do not \
         trust this disk, and acquire again to another one"
    )]
    Read {
        /// The first byte of the file that could not be read.
        offset: u64,
        /// The system's reason.
        source: io::Error,
    },
    /// A chunk is not what it was in memory.
    #[error(
        "what the disk has of chunk {number} of range {range}, memory {addresses}, at offset \
         {offset:#x} of the file, is not what was written: do not trust this disk, and acquire again \
         to another one (`verify` lists all chunks that differ)"
    )]
    Chunk {
        /// The range's number.
        range: u64,
        /// The chunk's number in the range.
        number: u64,
        /// Its addresses.
        addresses: PhysRange,
        /// Its first byte in the file.
        offset: u64,
    },
    /// Something else is not what it was.
    #[error(
        "what the disk has of the file from offset {start:#x} on, {what}, is not what was written: do \
         not trust this disk, and acquire again to another one"
    )]
    Outside {
        /// Where the part of the file begins that was compared.
        start: u64,
        /// What of it differs.
        what: &'static str,
    },
    /// The manifest that was just written cannot be read.
    #[error("reading the manifest again: {0}")]
    Manifest(#[from] ReadError),
    /// A chunk has no place, or begins before the part that is read back.
    #[error("the chunk at {0} has no place in the file; this is a bug in linpmem-dump")]
    Place(PhysRange),
    /// No thread could be started.
    #[error("starting a thread: {0}")]
    Thread(#[source] io::Error),
    /// A thread ended without a reason.
    #[error("a thread that read the image back panicked; this is a bug in linpmem-dump")]
    Panicked,
    /// A hash is not what a hash is. This is a bug.
    #[error("hashing the image: {0}")]
    Hash(#[source] io::Error),
}

/// A piece of the file, from `position` on.
#[derive(Clone, Debug)]
struct Piece {
    position: u64,
    feed: Feed,
}

impl Piece {
    fn is_zero(&self) -> bool {
        match &self.feed {
            Feed::Bytes(bytes) => bytes.iter().all(|&byte| byte == 0),
            Feed::Zeros(_) => true,
        }
    }
}

/// A chunk to compare.
struct ToCompare {
    listed: ListedChunk,
    offset: u64,
    feed: Feed,
}

/// What is wrong with the chunks so far: the first one in the file.
#[derive(Debug, Default)]
struct Faults {
    first: Mutex<Option<(u64, ListedChunk)>>,
    any: AtomicBool,
}

/// Digests of the whole file; `None` is SHA-256.
type Digests = Vec<(Option<FurtherHash>, Vec<u8>)>;

type HashThread<'scope> = ScopedJoinHandle<'scope, Option<Hasher>>;

impl ReadBack<'_> {
    /// Reads back what `streamed` lacks, and completes its hashes. Does nothing if it lacks
    /// nothing.
    ///
    /// # Errors
    /// If the file is not what was written, or cannot be read to its end. The hashes are then
    /// still lacking.
    pub fn complete(
        self,
        streamed: &mut Streamed,
    ) -> Result<Option<ReadBackRecord>, ReadBackError> {
        let Some(unhashed) = streamed.unhashed.take() else {
            return Ok(None);
        };
        let lacks = unhashed.hashes.iter().map(|&(_, _, position)| position);
        let start = lacks.fold(unhashed.unseen.start, u64::min);
        let bytes = streamed.file_length.saturating_sub(start);
        self.meter.begin_hashing(bytes);
        let mut written = WrittenFile::new(self.file).map_err(|source| ReadBackError::Read {
            offset: start,
            source,
        })?;
        let digests = self.hash(*unhashed, start, streamed.file_length, &mut written)?;
        for (algorithm, digest) in digests {
            let added = streamed.add_hash(algorithm, &digest);
            added.map_err(ReadBackError::Hash)?;
        }
        Ok(Some(ReadBackRecord {
            offset: start,
            bytes,
            way: written.way(),
        }))
    }

    fn hash(
        self,
        unhashed: Unhashed,
        start: u64,
        end: u64,
        written: &mut WrittenFile,
    ) -> Result<Digests, ReadBackError> {
        let stop = self.stop;
        let unseen = unhashed.unseen;
        let compared_from = unseen.start;
        let (places, outside, all) = match unseen.known {
            Known::Outside(digest) => (true, Some(digest), None),
            Known::All(hasher) => (false, None, Some(hasher)),
        };
        let count = self.workers.get().min(MAX_WORKERS);
        let buffers = count + QUEUE + SPARE_BUFFERS;
        let room = FrameEncoder::bound(CHUNK_BYTES) + WrittenFile::MARGIN;
        let pool = Pool::new(buffers, move || PageBuffer::new(room));
        let faults = Faults::default();
        std::thread::scope(|scope| {
            let mut hashes = Vec::new();
            let mut threads = Vec::new();
            for (algorithm, hasher, position) in unhashed.hashes {
                let name = algorithm.map_or("file", FurtherHash::name);
                let (feed, thread) = hash_thread(scope, name, hasher, stop)?;
                hashes.push((feed, position));
                threads.push((algorithm, thread));
            }
            let begun = Hasher::new(FurtherHash::Blake3);
            let all = match all {
                Some(known) => {
                    let (feed, thread) = hash_thread(scope, "read-back", begun, stop)?;
                    hashes.push((feed, compared_from));
                    Some((known, thread))
                }
                None => None,
            };
            let (chunks, queue) = bounded(QUEUE);
            let workers = (0..if places { count } else { 0 })
                .map(|number| {
                    let (queue, faults) = (queue.clone(), &faults);
                    Builder::new()
                        .name(format!("compare-{number}"))
                        .spawn_scoped(scope, move || compare(&queue, faults))
                        .map_err(ReadBackError::Thread)
                })
                .collect::<Result<Vec<_>, _>>()?;
            drop(queue);
            let mut walk = Walk {
                written,
                pool: &pool,
                hashes,
                chunks,
                outside: RemainderDigest::default(),
                faults: &faults,
                position: start,
                compared_from,
                end,
                stop,
                meter: self.meter,
            };
            let walked = match places {
                true => walk.chunks(self.manifest, &Places::new(self.plan, self.writer)),
                false => walk.up_to(end),
            };
            let found_outside = walk.finish();
            for worker in workers {
                worker.join().map_err(|_| ReadBackError::Panicked)?;
            }
            let mut digests = Vec::new();
            let mut is_cut = false;
            for (algorithm, thread) in threads {
                match thread.join().map_err(|_| ReadBackError::Panicked)? {
                    Some(hasher) => digests.push((algorithm, hasher.finish())),
                    None => is_cut = true,
                }
            }
            let all = match all {
                Some((known, thread)) => {
                    Some((known, thread.join().map_err(|_| ReadBackError::Panicked)?))
                }
                None => None,
            };
            if let Some(error) = faults.error() {
                return Err(error);
            }
            walked?;
            let reason = stop.reason().unwrap_or(StopReason::Asked);
            let differs = |what| ReadBackError::Outside {
                start: compared_from,
                what,
            };
            if outside.is_some_and(|known| known.finish() != found_outside.finish()) {
                return Err(differs("headers, notes or padding"));
            }
            if let Some((known, found)) = all {
                let is_same = found.map(|found| found.finish() == known.finish());
                match is_same {
                    Some(true) => {}
                    Some(false) => return Err(differs("somewhere up to its end")),
                    None => is_cut = true,
                }
            }
            match is_cut {
                true => Err(ReadBackError::Stopped(reason)),
                false => Ok(digests),
            }
        })
    }
}

fn hash_thread<'scope>(
    scope: &'scope Scope<'scope, '_>,
    name: &str,
    mut hasher: Hasher,
    stop: &'scope Stop,
) -> Result<(Sender<Feed>, HashThread<'scope>), ReadBackError> {
    let (feed, pieces) = bounded::<Feed>(QUEUE);
    let thread = Builder::new()
        .name(format!("hash-{name}"))
        .spawn_scoped(scope, move || {
            for piece in pieces {
                match piece {
                    Feed::Bytes(bytes) => hasher.update(&bytes),
                    Feed::Zeros(len) => hash_zeros(&mut hasher, len, stop)?,
                }
            }
            Some(hasher)
        })
        .map_err(ReadBackError::Thread)?;
    Ok((feed, thread))
}

/// Where chunks are in the file.
struct Places<'a> {
    plan: &'a ImagePlan,
    writer: &'a dyn ImageWriter,
}

impl<'a> Places<'a> {
    const fn new(plan: &'a ImagePlan, writer: &'a dyn ImageWriter) -> Self {
        Self { plan, writer }
    }

    /// The offset and the length of a chunk.
    fn of(&self, listed: &ListedChunk) -> Option<(u64, u64)> {
        let chunk = &listed.chunk;
        if let Some(frame) = chunk.frame {
            return Some((frame.offset, frame.length));
        }
        let index = u64_as_usize(listed.range);
        let range = self.plan.ranges().get(index)?.range;
        let within = chunk.addresses.start().checked_sub(range.start())?;
        let begin = self.writer.data_offset(index)?;
        Some((
            begin.checked_add(within.get())?,
            chunk.addresses.len().get(),
        ))
    }
}

/// The way through the file, from front to back.
struct Walk<'a> {
    written: &'a mut WrittenFile,
    pool: &'a Pool<PageBuffer>,
    /// Each hash, and the first byte that it lacks.
    hashes: Vec<(Sender<Feed>, u64)>,
    chunks: Sender<ToCompare>,
    outside: RemainderDigest,
    faults: &'a Faults,
    position: u64,
    /// From here on there is something to compare with. What is before it was zero.
    compared_from: u64,
    end: u64,
    stop: &'a Stop,
    meter: &'a Meter,
}

impl Walk<'_> {
    /// Goes to the end of the file, by the chunks in `manifest`.
    fn chunks(
        &mut self,
        manifest: Box<dyn Read + '_>,
        places: &Places<'_>,
    ) -> Result<(), ReadBackError> {
        let lines = BufReader::with_capacity(64 << 10, manifest);
        for listed in Chunks::new(Reader::new(lines, Path::new("the manifest"))) {
            let listed = match listed {
                Ok(listed) => listed,
                // It has no last line yet.
                Err(ReadError::Truncated { .. }) => break,
                Err(error) => return Err(error.into()),
            };
            let addresses = listed.chunk.addresses;
            let lost = || ReadBackError::Place(addresses);
            let (offset, len) = places.of(&listed).ok_or_else(lost)?;
            if offset.checked_add(len).ok_or_else(lost)? <= self.position {
                continue;
            }
            if offset < self.position {
                return Err(lost());
            }
            if self.faults.any.load(Ordering::Relaxed) {
                // The image is lost, whatever the rest is like.
                return Ok(());
            }
            self.up_to(offset)?;
            if self.position >= self.compared_from {
                self.outside.end_stretch();
            }
            let piece = self.piece(len, true)?;
            self.pass(&piece)?;
            let to_compare = ToCompare {
                listed,
                offset,
                feed: piece.feed,
            };
            // If all workers panicked, joining them reports that.
            let _ = self.chunks.send(to_compare);
        }
        self.up_to(self.end)
    }

    /// Goes to `border`, through bytes outside the chunks.
    fn up_to(&mut self, border: u64) -> Result<(), ReadBackError> {
        while self.position < border {
            // Not across the place where the comparison begins.
            let next = match self.compared_from {
                from if self.position < from => from.min(border),
                _ => border,
            };
            let piece = self.piece(next - self.position, false)?;
            self.pass(&piece)?;
            match &piece.feed {
                _ if piece.position < self.compared_from => {}
                Feed::Bytes(bytes) => self.outside.bytes(bytes),
                Feed::Zeros(len) => self.outside.zeros(*len),
            }
        }
        Ok(())
    }

    /// The next bytes: at most `most` of them, or all of these if they are a chunk.
    fn piece(&mut self, most: u64, is_chunk: bool) -> Result<Piece, ReadBackError> {
        if let Some(reason) = self.stop.reason() {
            return Err(ReadBackError::Stopped(reason));
        }
        let position = self.position;
        let hole = hole(self.written.file(), self.end, position, most);
        let is_hole = hole == most || (hole > 0 && !is_chunk);
        let feed = if is_hole {
            Feed::Zeros(hole)
        } else {
            let len = match is_chunk {
                true => most,
                false => most.min(usize_as_u64(CHUNK_BYTES)),
            };
            // The pool outlives every buffer, and has no end.
            let Some(buffer) = self.pool.take() else {
                return Err(ReadBackError::Panicked);
            };
            Feed::Bytes(self.read(position, len, buffer)?)
        };
        self.position = position.saturating_add(feed.size());
        self.meter.add_hashed(feed.size());
        Ok(Piece { position, feed })
    }

    fn read(
        &mut self,
        offset: u64,
        len: u64,
        mut buffer: Pooled<PageBuffer>,
    ) -> Result<Bytes, ReadBackError> {
        let read = self.written.read(offset, len, &mut buffer);
        let at = read.map_err(|source| ReadBackError::Read { offset, source })?;
        Ok(Bytes::from_owner(buffer).slice(at))
    }

    /// Gives a piece to the hashes that lack it.
    fn pass(&mut self, piece: &Piece) -> Result<(), ReadBackError> {
        if piece.position < self.compared_from && !piece.is_zero() {
            return Err(ReadBackError::Outside {
                start: piece.position,
                what: "which was zero",
            });
        }
        for (feed, from) in &self.hashes {
            let seen = from.saturating_sub(piece.position);
            let rest = match &piece.feed {
                whole if seen == 0 => whole.clone(),
                whole if seen >= whole.size() => continue,
                Feed::Bytes(bytes) => Feed::Bytes(bytes.slice(u64_as_usize(seen)..)),
                Feed::Zeros(len) => Feed::Zeros(len - seen),
            };
            // A thread that takes no more was stopped, or panicked: joining it tells.
            let _ = feed.send(rest);
        }
        Ok(())
    }

    /// Ends the threads, and returns the hash over everything outside the chunks.
    fn finish(self) -> RemainderDigest {
        self.outside
    }
}

impl Faults {
    fn add(&self, offset: u64, listed: ListedChunk) {
        self.any.store(true, Ordering::Relaxed);
        let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        if first.is_none_or(|(known, _)| offset < known) {
            *first = Some((offset, listed));
        }
    }

    fn error(&self) -> Option<ReadBackError> {
        let first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        first.map(|(offset, listed)| ReadBackError::Chunk {
            range: listed.range,
            number: listed.number,
            addresses: listed.chunk.addresses,
            offset,
        })
    }
}

/// Compares chunks until there are no more.
fn compare(chunks: &Receiver<ToCompare>, faults: &Faults) {
    let mut decoder = FrameDecoder::default();
    let mut memory = Vec::new();
    for chunk in chunks {
        if !is_as_written(&chunk, &mut decoder, &mut memory) {
            faults.add(chunk.offset, chunk.listed);
        }
    }
}

fn is_as_written(chunk: &ToCompare, decoder: &mut FrameDecoder, memory: &mut Vec<u8>) -> bool {
    let listed = &chunk.listed.chunk;
    let content = match &chunk.feed {
        Feed::Zeros(len) => {
            // A frame is never all zero.
            memory.clear();
            memory.resize(u64_as_usize(*len), 0);
            if listed.frame.is_some() {
                return false;
            }
            memory.as_slice()
        }
        Feed::Bytes(frame) if listed.frame.is_some() => {
            memory.resize(u64_as_usize(listed.addresses.len().get()), 0);
            if decoder.decode(frame, memory).is_err() {
                return false;
            }
            memory.as_slice()
        }
        Feed::Bytes(bytes) => bytes,
    };
    match listed.content {
        ChunkContent::Zero => {
            len_bytes(content) == listed.addresses.len().get()
                && content.iter().all(|&byte| byte == 0)
        }
        ChunkContent::Sha256(sum) => sha256(content) == sum,
    }
}
