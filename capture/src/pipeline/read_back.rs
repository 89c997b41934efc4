// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reading the image back from the disk, for the hashes that have not seen all of it.
//!
//! All that is read back is compared with what was written, by a sum that was made on the way
//! ([`RunningSum`](crate::hash::RunningSum)). So the hash of the file is that of what was read
//! from memory, or the run fails and says what the disk has lost.

use super::CHUNK_BYTES;
use super::differing::{Differing, Places};
use super::hash::{Feed, hash_zeros};
use super::out::Streamed;
use super::read_back_error::ReadBackError;
use super::unseen::Unhashed;
use crate::buffer::{Pool, Pooled};
use crate::hash::{Hasher, RunningSum};
use crate::meter::Meter;
use crate::sink::{WrittenFile, hole};
use crate::stop::{Stop, StopReason};
use bytes::Bytes;
use crossbeam_channel::{Sender, bounded};
use linpmem_formats::{ImagePlan, ImageWriter};
use linpmem_manifest::{FurtherHash, ReadBackRecord};
use linpmem_phys::PageBuffer;
use linpmem_phys::num::{u64_as_usize, usize_as_u64};
use std::fs::File;
use std::io::Read;
use std::thread::{Builder, Scope, ScopedJoinHandle};

/// Pieces that wait for a thread.
const QUEUE: usize = 2;

/// The one that is read into, the one that the slowest hash works on, and those that wait
/// for it.
const BUFFERS: usize = 2 + QUEUE;

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
    /// Raised to end early.
    pub stop: &'a Stop,
    /// Counts the progress.
    pub meter: &'a Meter,
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
        let Unhashed { hashes, unseen } = *unhashed;
        let lacks = hashes.iter().map(|&(_, _, position)| position);
        let start = lacks.fold(unseen.start, u64::min);
        let end = streamed.file_length;
        let bytes = end.saturating_sub(start);
        self.meter.begin_hashing(bytes);
        let mut written = WrittenFile::new(self.file).map_err(|source| ReadBackError::Read {
            offset: start,
            source,
        })?;
        let pool = Pool::new(BUFFERS, || {
            PageBuffer::new(CHUNK_BYTES + WrittenFile::MARGIN)
        });
        let mut walk = Walk {
            written: &mut written,
            pool: &pool,
            hashes: Vec::new(),
            sum: unseen.sum.again(),
            position: start,
            compared_from: unseen.start,
            end,
            stop: self.stop,
            meter: self.meter,
        };
        let digests = walk.hash(hashes)?;
        if walk.sum.finish() != unseen.sum.finish() {
            self.meter.begin_hashing(bytes);
            let places = unseen
                .are_chunks_placed
                .then(|| Places::new(self.plan, self.writer));
            return Err(Differing {
                written: &mut written,
                manifest: self.manifest,
                start: unseen.start,
                end,
                stop: self.stop,
                meter: self.meter,
            }
            .find(places));
        }
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

/// The way through the file, from front to back.
struct Walk<'a> {
    written: &'a mut WrittenFile,
    pool: &'a Pool<PageBuffer>,
    /// Each hash, and the first byte that it lacks.
    hashes: Vec<(Sender<Feed>, u64)>,
    /// Of what was read.
    sum: RunningSum,
    position: u64,
    /// From here on there is something to compare with. What is before it was zero.
    compared_from: u64,
    end: u64,
    stop: &'a Stop,
    meter: &'a Meter,
}

impl Walk<'_> {
    /// Goes to the end of the file with `hashes`, each of which lacks what comes from a
    /// position on.
    fn hash(
        &mut self,
        hashes: Vec<(Option<FurtherHash>, Hasher, u64)>,
    ) -> Result<Digests, ReadBackError> {
        let stop = self.stop;
        std::thread::scope(|scope| {
            let mut threads = Vec::new();
            for (algorithm, hasher, position) in hashes {
                let name = algorithm.map_or("file", FurtherHash::name);
                let (feed, thread) = hash_thread(scope, name, hasher, stop)?;
                self.hashes.push((feed, position));
                threads.push((algorithm, thread));
            }
            let walked = self.all_of_it();
            // The threads end when nobody can send to them any more.
            self.hashes.clear();
            let mut digests = Vec::new();
            let mut is_cut = false;
            for (algorithm, thread) in threads {
                match thread.join().map_err(|_| ReadBackError::Panicked)? {
                    Some(hasher) => digests.push((algorithm, hasher.finish())),
                    None => is_cut = true,
                }
            }
            walked?;
            match is_cut {
                true => Err(ReadBackError::Stopped(
                    stop.reason().unwrap_or(StopReason::Asked),
                )),
                false => Ok(digests),
            }
        })
    }

    fn all_of_it(&mut self) -> Result<(), ReadBackError> {
        while self.position < self.end {
            // Not across the place where the comparison begins.
            let border = match self.compared_from {
                from if self.position < from => from.min(self.end),
                _ => self.end,
            };
            let piece = self.piece(border - self.position)?;
            self.pass(&piece)?;
            match &piece.feed {
                _ if piece.position < self.compared_from => {}
                Feed::Bytes(bytes) => self.sum.bytes(bytes),
                Feed::Zeros(len) => self.sum.zeros(*len),
            }
        }
        Ok(())
    }

    /// The next bytes, at most `most` of them.
    fn piece(&mut self, most: u64) -> Result<Piece, ReadBackError> {
        if let Some(reason) = self.stop.reason() {
            return Err(ReadBackError::Stopped(reason));
        }
        let position = self.position;
        let hole = hole(self.written.file(), self.end, position, most);
        let feed = if hole > 0 {
            Feed::Zeros(hole)
        } else {
            // The pool outlives every buffer, and has no end.
            let Some(buffer) = self.pool.take() else {
                return Err(ReadBackError::Panicked);
            };
            let len = most.min(usize_as_u64(CHUNK_BYTES));
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
    fn pass(&self, piece: &Piece) -> Result<(), ReadBackError> {
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
}
