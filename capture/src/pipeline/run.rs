// SPDX-License-Identifier: MIT OR Apache-2.0
//! The threads of one acquisition.

use super::CHUNK_BYTES;
use super::assemble::{AfterMemory, Assembly, Finished};
use super::crew::{Crew, Encoding, Load, cpus};
use super::hash::{FileHashes, HashSource, OWED_BUFFERS};
use super::out::{ImageStream, Streamed};
use super::read::read_all;
use super::read_back_error::ReadBackError;
use super::work::{FinishedChunk, Queues, Work, ZeroChunks, work};
use crate::buffer::Pool;
use crate::clock::Moment;
use crate::embedded_manifest::EmbeddedManifest;
use crate::hash::Backend;
use crate::meter::Meter;
use crate::plan::HashSpec;
use crate::reader::ReadPages;
use crate::sink::Sink;
use crate::stop::{Stop, StopReason};
use crossbeam_channel::{Receiver, Sender, bounded};
use linpmem_formats::{ChunkEncoder, Codec, ImagePlan, ImageWriter, WriteError};
use linpmem_manifest::{ManifestWriter, ReadSpan, Sha256Sum};
use linpmem_phys::{PageBuffer, SourceError, Unreadable};
use std::convert::Infallible;
use std::io::{self, Write};
use std::num::{NonZeroU64, NonZeroUsize};
use std::sync::{Arc, Mutex};
use std::thread::{Builder, Scope, ScopedJoinHandle};

/// What is acquired, and how.
#[derive(Clone, Copy)]
pub struct Acquisition<'a> {
    /// Where the memory comes from.
    pub source: &'a dyn ReadPages,
    /// What is read of it.
    pub plan: &'a ImagePlan,
    /// Compression of the image.
    pub codec: Codec,
    /// The hashes of the output file.
    pub hashes: &'a HashSpec,
    /// Threads that hash and compress; `None` decides by the machine.
    pub workers: Option<NonZeroUsize>,
    /// How chunks are hashed.
    pub backend: Backend,
    /// The most bytes read per second.
    pub bytes_per_s: Option<NonZeroU64>,
    /// When the run began.
    pub started: Moment,
    /// Raised to end the run early.
    pub stop: &'a Stop,
    /// Counts the progress.
    pub meter: &'a Meter,
}

/// How an acquisition went.
#[derive(Debug)]
pub struct Outcome {
    /// How it ended.
    pub end: End,
    /// The output file, complete or not.
    pub file: Streamed,
    /// The Merkle root over the hashes of all chunks.
    pub sha256_tree: Sha256Sum,
    /// Bytes of memory that were read and written before the end.
    pub read_bytes: u64,
    /// When memory was read, from before the first page to after the last; `None` if none was.
    pub read: Option<ReadSpan>,
    /// Pages that could not be read.
    pub unreadable_pages: u64,
    /// The first unreadable ranges.
    pub first_unreadable: Vec<Unreadable>,
}

/// How an acquisition ended.
#[derive(Debug)]
pub enum End {
    /// Every planned byte is in the image.
    Whole,
    /// It was asked to stop.
    Interrupted(StopReason),
    /// It failed.
    Failed(RunError),
}

/// Why an acquisition failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The source failed as a whole.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The image could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The image could not be synced to disk.
    #[error("syncing the image to disk: {0}")]
    Sink(#[source] io::Error),
    /// The disk does not give back what was written.
    #[error(transparent)]
    ReadBack(#[from] ReadBackError),
    /// The manifest could not be written.
    #[error("writing the manifest: {0}")]
    Manifest(#[source] io::Error),
    /// A chunk could not be compressed.
    #[error("compressing the image: {0}")]
    Compress(#[source] io::Error),
    /// No thread could be started.
    #[error("starting a thread: {0}")]
    Thread(#[source] io::Error),
    /// A stage ended without a reason. This is a bug.
    #[error("the {0} thread panicked; this is a bug in linpmem-dump")]
    Panicked(&'static str),
}

/// Chunks in flight. Those that are zero keep no buffer, and thousands of them may be read
/// while a worker compresses the one before them.
const MOST_IN_FLIGHT: usize = 512;

/// Runs one acquisition: `writer` makes the image in `sink`, and `manifest` records every
/// range and chunk. When memory has been read, `after` has its turn. Whatever happens,
/// `manifest` is left between two ranges unless writing it failed.
pub fn run<W: Write>(
    acquisition: Acquisition<'_>,
    writer: &mut dyn ImageWriter,
    sink: &mut dyn Sink,
    manifest: &mut ManifestWriter<W>,
    embedded: &EmbeddedManifest,
    after: &mut dyn AfterMemory,
) -> Outcome {
    let stop = acquisition.stop;
    let result = std::thread::scope(|scope| {
        let source = match (sink.file(), embedded.lines()) {
            (Some(_), Some(_)) if acquisition.hashes.read_back => HashSource::File,
            (Some(_), Some(_)) => HashSource::StreamThenFile,
            _ => HashSource::Stream,
        };
        let threads = Threads::spawn(scope, acquisition, writer.encoder(), source, sink)?;
        // If memory is in the file unchanged, the rest of the file gets a hash.
        let is_plain = acquisition.codec == Codec::None
            && (0..acquisition.plan.ranges().len())
                .all(|index| writer.data_offset(index).is_some());
        let stream = ImageStream::new(sink, acquisition.codec, threads.file_hashes, is_plain)
            .map_err(RunError::Compress)?;
        let mut assembly = Assembly::new(&acquisition, writer, stream, manifest, embedded, after);
        let written = assembly.begin().and_then(|()| {
            threads
                .finished
                .iter()
                .try_for_each(|chunk| assembly.take(chunk.map_err(RunError::Compress)?))
        });
        // Ends the workers and the reader if they still run.
        drop((threads.running, threads.finished));
        let read = join(threads.reader, "reading").and_then(|read| Ok(read?));
        let worked = threads
            .workers
            .into_iter()
            .try_for_each(|worker| join(worker, "worker"));
        // The sink's error first: it is why the others stopped.
        Ok(match written.and(read).and(worked) {
            Ok(()) => {
                let is_whole = assembly.is_whole();
                let reason = stop.reason().unwrap_or(StopReason::Asked);
                let filled = assembly.fill(acquisition.codec, reason);
                let (finished, ended) = match filled {
                    Ok(()) => assembly.finish(),
                    Err(error) => (assembly.abandon(), Err(error)),
                };
                let end = match ended {
                    Ok(()) if is_whole => End::Whole,
                    Ok(()) => End::Interrupted(reason),
                    Err(error) => End::Failed(error),
                };
                (end, finished)
            }
            Err(error) => (End::Failed(error), assembly.abandon()),
        })
    });
    match result {
        Ok((end, finished)) => Outcome::new(end, finished),
        Err(error) => Outcome::new(End::Failed(error), Finished::default()),
    }
}

/// The threads besides the calling one, and the channel that their results come from.
struct Threads<'scope> {
    reader: ScopedJoinHandle<'scope, Result<(), SourceError>>,
    workers: Vec<ScopedJoinHandle<'scope, ()>>,
    finished: Receiver<io::Result<FinishedChunk>>,
    /// Dropped when no more chunks are wanted.
    running: Sender<Infallible>,
    file_hashes: FileHashes<'scope>,
}

impl<'scope> Threads<'scope> {
    fn spawn<'env: 'scope>(
        scope: &'scope Scope<'scope, 'env>,
        acquisition: Acquisition<'env>,
        own: Option<Arc<dyn ChunkEncoder>>,
        source: HashSource,
        sink: &dyn Sink,
    ) -> Result<Self, RunError> {
        let file_hashes = FileHashes::spawn(scope, acquisition.hashes, source, acquisition.stop)
            .map_err(RunError::Thread)?;
        let encoding = match &own {
            Some(own) => Encoding::Own {
                frame_bytes: own.bound(CHUNK_BYTES),
            },
            None => Encoding::Around(acquisition.codec),
        };
        let load = Load {
            encoding,
            hashing: acquisition.backend.into(),
            // What waits for a hash, or for a receiver's disk, must not be lacking where memory is
            // read. More than half of what a receiver may hold makes nothing faster.
            waiting: match file_hashes.is_fed() {
                true => OWED_BUFFERS,
                false => 0,
            }
            .max(sink.held_bytes() / CHUNK_BYTES / 2),
            kept: sink.kept_bytes(),
        };
        let Crew {
            workers,
            first_buffers,
            most_buffers,
            frame_bytes,
        } = Crew::new(acquisition.workers, cpus(), load);
        let (running, ended) = bounded(0);
        let make = || PageBuffer::new(CHUNK_BYTES);
        let pool = Pool::growing(first_buffers, most_buffers, make).until(ended.clone());
        let pool = Arc::new(pool);
        // As many as buffers, so that a thread with a buffer never waits for a frame.
        let frames = match frame_bytes {
            0 => 0,
            _ => most_buffers,
        };
        let make = move || Vec::with_capacity(frame_bytes);
        let frames = Pool::new(frames, make).until(ended.clone());
        let turns = Pool::new(most_buffers.max(MOST_IN_FLIGHT), || ()).until(ended);
        let frames = Arc::new(frames);
        let zero_chunks = Arc::new(Mutex::new(ZeroChunks::default()));
        let (chunks, queue) = bounded(most_buffers);
        let (hashed, unencoded) = bounded(most_buffers);
        let (done, finished) = bounded(most_buffers);

        let buffers = Arc::clone(&pool);
        let reader = Builder::new()
            .name("read".to_owned())
            .spawn_scoped(scope, move || {
                read_all(&acquisition, &buffers, &turns, &chunks)
            })
            .map_err(RunError::Thread)?;
        let workers = (0..workers.get())
            .map(|number| {
                let queues = Queues {
                    chunks: queue.clone(),
                    hashed: hashed.clone(),
                    unencoded: unencoded.clone(),
                    finished: done.clone(),
                };
                let (own, frames, pool) = (own.clone(), Arc::clone(&frames), Arc::clone(&pool));
                let zero_chunks = Arc::clone(&zero_chunks);
                Builder::new()
                    .name(format!("work-{number}"))
                    .spawn_scoped(scope, move || {
                        let how = Work {
                            codec: acquisition.codec,
                            own: own.as_deref(),
                            backend: acquisition.backend,
                            buffers: &pool,
                            frames: &frames,
                            zero_chunks: &zero_chunks,
                        };
                        work(&queues, &how)
                    })
            })
            .collect::<io::Result<Vec<_>>>()
            .map_err(RunError::Thread)?;
        Ok(Self {
            reader,
            workers,
            finished,
            running,
            file_hashes,
        })
    }
}

impl Outcome {
    fn new(end: End, finished: Finished) -> Self {
        Self {
            end,
            file: finished.file,
            sha256_tree: finished.tree.root(),
            read_bytes: finished.read_bytes,
            read: finished.read,
            unreadable_pages: finished.unreadable_pages,
            first_unreadable: finished.first_unreadable,
        }
    }
}

fn join<T>(thread: ScopedJoinHandle<'_, T>, name: &'static str) -> Result<T, RunError> {
    thread.join().map_err(|_| RunError::Panicked(name))
}
