// SPDX-License-Identifier: MIT OR Apache-2.0
//! The comparison: threads that each take the next chunk, and beside them those
//! sums that can only be made from front to back.

use super::layout::{Chunk, Layout};
use super::memory::Memory;
use super::outside::outside_sum;
use crate::digest::Sha256Sum;
use crate::measure::{in_memory, len_bytes};
use crate::pipeline::CHUNK_BYTES;
use crate::progress::Meter;
use crossbeam_channel::{Sender, unbounded};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io;
use std::num::NonZeroUsize;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{Builder, Scope, ScopedJoinHandle};

/// What was found in the file.
#[derive(Debug)]
pub struct Found {
    /// Bytes of the file.
    pub length: u64,
    /// Of as many bytes of it as the manifest says that there are.
    pub file: Computed,
    /// Over what is in no chunk.
    pub outside: Computed,
    /// Chunks that are not as they should be, by their number in the layout.
    pub chunks: Vec<(usize, Fault)>,
}

/// A sum that may have been made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Computed {
    /// It was not asked for, or there is none to compare it with.
    Not,
    /// The bytes are not all there, or cannot be read.
    Lacking,
    /// This is it.
    Sum(Sha256Sum),
}

impl Computed {
    /// The sum, if it was made.
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

/// What is compared, and how.
pub struct Check<'a> {
    /// The image's file.
    pub file: &'a File,
    /// Bytes of it.
    pub length: u64,
    /// What it should hold, and where.
    pub layout: &'a Layout<'a>,
    /// How memory is found in it.
    pub memory: Memory<'a>,
    /// Whether the file's own sum is made.
    pub whole: bool,
    /// Threads that compare chunks.
    pub workers: NonZeroUsize,
    /// Told of the progress.
    pub meter: &'a Meter,
}

impl Check<'_> {
    /// Compares.
    pub fn run(&self) -> Result<Found, CheckError> {
        let next = AtomicUsize::new(0);
        let (faults, found) = unbounded();
        let (file, outside) = std::thread::scope(|scope| {
            let file = start(scope, self.whole, "sum-file", || self.file_sum())?;
            let has_outside = self.layout.manifest.file.sha256_outside.is_some();
            let outside = start(scope, has_outside, "sum-outside", || outside_sum(self))?;
            let workers = (0..self.workers.get())
                .map(|number| {
                    let (next, faults) = (&next, faults.clone());
                    Builder::new()
                        .name(format!("work-{number}"))
                        .spawn_scoped(scope, move || self.work(next, &faults))
                        .map_err(CheckError::Start)
                })
                .collect::<Result<Vec<_>, _>>()?;
            for worker in workers {
                joined(worker)?;
            }
            let sum = |thread: Option<_>| thread.map_or(Ok(Computed::Not), joined);
            Ok((sum(file)?, sum(outside)?))
        })?;
        drop(faults);
        let mut chunks: Vec<_> = found.iter().collect();
        chunks.sort_unstable_by_key(|&(index, _)| index);
        Ok(Found {
            length: self.length,
            file,
            outside,
            chunks,
        })
    }

    /// Compares the chunks that no other thread has taken.
    fn work(&self, next: &AtomicUsize, faults: &Sender<(usize, Fault)>) {
        let mut looking = self.memory.looking(self.file, self.length);
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(chunk) = self.layout.chunks.get(index) else {
                return;
            };
            if let Err(fault) = looking.at(chunk) {
                let _ = faults.send((index, fault));
            }
            self.progressed(chunk);
        }
    }

    fn progressed(&self, chunk: &Chunk<'_>) {
        self.meter.add_written(chunk.record.length, 0);
    }

    /// Of the file from front to back.
    fn file_sum(&self) -> Computed {
        let end = self.layout.manifest.file.length;
        if self.length < end {
            return Computed::Lacking;
        }
        let mut buffer = vec![0; CHUNK_BYTES];
        let mut hasher = Sha256::new();
        let mut position = 0;
        while position < end {
            let step = (end - position).min(len_bytes(&buffer));
            let bytes = buffer.get_mut(..in_memory(step)).unwrap_or_default();
            if self.file.read_exact_at(bytes, position).is_err() {
                return Computed::Lacking;
            }
            hasher.update(bytes);
            position = position.saturating_add(step);
        }
        Computed::Sum(Sha256Sum::finish(hasher))
    }
}

type SumThread<'scope> = ScopedJoinHandle<'scope, Computed>;

fn start<'scope>(
    scope: &'scope Scope<'scope, '_>,
    wanted: bool,
    name: &str,
    sum: impl FnOnce() -> Computed + Send + 'scope,
) -> Result<Option<SumThread<'scope>>, CheckError> {
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
