// SPDX-License-Identifier: MIT OR Apache-2.0
//! The comparison: worker threads that each take the next chunk of the manifest, and
//! others for the hashes that can only be computed from front to back. None of them holds
//! more than a few chunks, however long the manifest is.

use super::VerifyError;
use super::layout::{Chunk, Layout};
use super::memory::Memory;
use super::remainder::remainder_digest;
use crate::hash::{Backend, Hasher};
use crate::meter::Meter;
use crate::pipeline::CHUNK_BYTES;
use crossbeam_channel::{Receiver, Sender, bounded};
use linpmem_formats::ReadAt;
use linpmem_manifest::{FurtherHash, HashRecord, Sha256Sum};
use linpmem_phys::num::{len_bytes, u64_as_usize};
use std::collections::BTreeMap;
use std::io;
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};
use std::thread::{Builder, Scope, ScopedJoinHandle};

/// What was found in the file.
#[derive(Debug)]
pub struct Found<'a> {
    /// Bytes of the file.
    pub length: u64,
    /// The hash of as many bytes as the file should have.
    pub file: Computed,
    /// Further hashes of the same bytes, as far as the manifest has them; none if they were
    /// not asked for, or bytes are missing.
    pub further: Vec<HashRecord>,
    /// The hash over everything outside the chunks.
    pub outside: Computed,
    /// Chunks that do not match.
    pub faults: Faults<'a>,
}

/// Chunks that do not match: the first ones, and how many there are.
#[derive(Debug, Default)]
pub struct Faults<'a> {
    /// The first ones in the manifest, by their index.
    pub first: BTreeMap<u64, (Chunk<'a>, Fault)>,
    /// How many there are in all.
    pub count: u64,
    /// How many there are in each range, by its index.
    pub by_range: BTreeMap<u64, u64>,
}

impl<'a> Faults<'a> {
    /// The most chunks that are listed.
    pub const SHOWN: usize = 20;

    fn add(&mut self, chunk: Chunk<'a>, fault: Fault) {
        self.count += 1;
        *self.by_range.entry(chunk.range.record.index).or_default() += 1;
        self.first.insert(chunk.index, (chunk, fault));
        if self.first.len() > Self::SHOWN {
            self.first.pop_last();
        }
    }
}

/// A hash that may have been computed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Computed {
    /// It was not asked for, or there is nothing to compare it with.
    Not,
    /// Bytes are missing, or cannot be read.
    Lacking,
    /// The hash.
    Sum(Sha256Sum),
}

impl Computed {
    /// The hash, if it was computed.
    pub const fn sum(&self) -> Option<Sha256Sum> {
        match self {
            Self::Sum(sum) => Some(*sum),
            _ => None,
        }
    }
}

/// What is wrong with a chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Its hash differs.
    Differs,
    /// The file ends before it does.
    Missing,
    /// It cannot be decompressed.
    Damaged,
    /// Its bytes match, but different pages are marked as unreadable.
    Marks,
    /// It cannot be read from the disk.
    Unreadable(String),
}

/// A comparison that failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckError {
    /// A thread could not be started, or there was not enough memory.
    #[error("starting the verification: {0}")]
    Start(#[source] io::Error),
    /// A thread ended without a reason.
    #[error("a thread panicked; this is a bug in linpmem-dump")]
    Panicked,
}

/// What is compared, and how.
pub struct Check<'a> {
    /// The image's file.
    pub file: &'a dyn ReadAt,
    /// Bytes of it.
    pub length: u64,
    /// What it should contain, and where.
    pub layout: &'a Layout<'a>,
    /// How memory is found in it.
    pub memory: Memory<'a>,
    /// Whether the SHA-256 of the file is computed.
    pub whole: bool,
    /// Whether the further hashes of the file are computed.
    pub further: bool,
    /// Threads that compare chunks.
    pub workers: NonZeroUsize,
    /// Counts the progress.
    pub meter: &'a Meter,
}

impl<'a> Check<'a> {
    /// Runs the comparison.
    pub fn run(&self) -> Result<Found<'a>, VerifyError> {
        let faults = Mutex::default();
        let (file, further, outside) = std::thread::scope(|scope| {
            let sha256 = || self.file_sum(Hasher::sha256());
            let file = start(scope, self.whole, "hash-file", sha256)?;
            let further = self.further_sums(scope)?;
            let file_record = self.layout.file_record();
            let has_outside = file_record.is_some_and(|file| file.sha256_remainder.is_some());
            let outside = start(scope, has_outside, "hash-remainder", || {
                remainder_digest(self)
            })?;
            // As many as the workers hash at once.
            let waiting = self.workers.get().saturating_mul(Backend::best().lanes());
            let (sender, chunks) = bounded(waiting);
            let workers = (0..self.workers.get())
                .map(|number| {
                    let (chunks, faults) = (chunks.clone(), &faults);
                    Builder::new()
                        .name(format!("work-{number}"))
                        .spawn_scoped(scope, move || self.work(&chunks, faults))
                        .map_err(CheckError::Start)
                })
                .collect::<Result<Vec<_>, _>>()?;
            drop(chunks);
            let fed = self.feed(sender);
            for worker in workers {
                joined(worker)?;
            }
            fed?;
            let file = file.map(joined).transpose()?.map_or(Computed::Not, |sum| {
                let sum = sum.and_then(|digest| Sha256Sum::try_from(digest.as_slice()).ok());
                sum.map_or(Computed::Lacking, Computed::Sum)
            });
            let outside = outside.map_or(Ok(Ok(Computed::Not)), joined)??;
            let mut records = Vec::new();
            for (algorithm, thread) in further {
                records.extend(joined(thread)?.map(|digest| HashRecord {
                    algorithm,
                    digest: linpmem_phys::hex::encode(&digest),
                }));
            }
            Ok::<_, VerifyError>((file, records, outside))
        })?;
        Ok(Found {
            length: self.length,
            file,
            further,
            outside,
            faults: faults.into_inner().unwrap_or_else(PoisonError::into_inner),
        })
    }

    /// Reads the manifest for the workers.
    fn feed(&self, workers: Sender<Chunk<'a>>) -> Result<(), VerifyError> {
        for chunk in self.layout.chunks() {
            if workers.send(chunk?).is_err() {
                // All of them have panicked, which joining them reports.
                break;
            }
        }
        Ok(())
    }

    /// Compares the chunks that no other thread has taken.
    fn work(&self, chunks: &Receiver<Chunk<'a>>, faults: &Mutex<Faults<'a>>) {
        let mut looking = self.memory.looking(self.file, self.length);
        for first in chunks {
            let most = Backend::best().at_once(1 + chunks.len());
            let mut batch = vec![first];
            batch.extend(chunks.try_iter().take(most.saturating_sub(1)));
            for (found, chunk) in looking.at(&batch).into_iter().zip(batch) {
                self.meter.add_written(chunk.bytes(), 0);
                if let Err(fault) = found {
                    let mut faults = faults.lock().unwrap_or_else(PoisonError::into_inner);
                    faults.add(chunk, fault);
                }
            }
        }
    }

    /// A thread for each further hash that the manifest has.
    fn further_sums<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
    ) -> Result<Vec<FurtherThread<'scope>>, CheckError> {
        let mut threads = Vec::new();
        let file = self.layout.file_record();
        for HashRecord { algorithm, .. } in file.iter().flat_map(|file| &file.hashes) {
            let sum = || self.file_sum(Hasher::new(*algorithm));
            let thread = start(scope, self.further, algorithm.name(), sum)?;
            threads.extend(thread.map(|thread| (*algorithm, thread)));
        }
        Ok(threads)
    }

    /// A hash of the file from front to back; none if bytes are missing.
    fn file_sum(&self, mut hasher: Hasher) -> Option<Vec<u8>> {
        let end = self.layout.file_record()?.length;
        if self.length < end {
            return None;
        }
        let mut buffer = vec![0; CHUNK_BYTES];
        let mut position = 0;
        while position < end {
            let step = (end - position).min(len_bytes(&buffer));
            let bytes = buffer.get_mut(..u64_as_usize(step)).unwrap_or_default();
            self.file.read_exact_at(position, bytes).ok()?;
            hasher.update(bytes);
            position = position.saturating_add(step);
        }
        Some(hasher.finish())
    }
}

type SumThread<'scope, T> = ScopedJoinHandle<'scope, T>;
type FurtherThread<'scope> = (FurtherHash, SumThread<'scope, Option<Vec<u8>>>);

fn start<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    wanted: bool,
    name: &str,
    sum: impl FnOnce() -> T + Send + 'scope,
) -> Result<Option<SumThread<'scope, T>>, CheckError> {
    if !wanted {
        return Ok(None);
    }
    let thread = Builder::new()
        .name(name.to_owned())
        .spawn_scoped(scope, sum);
    thread.map(Some).map_err(CheckError::Start)
}

fn joined<T>(thread: ScopedJoinHandle<'_, T>) -> Result<T, CheckError> {
    thread.join().map_err(|_| CheckError::Panicked)
}
