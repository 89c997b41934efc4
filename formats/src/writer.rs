// SPDX-License-Identifier: MIT OR Apache-2.0
//! What every format's writer provides.

use crate::{Chunk, ImageOutput, OutputError};
use linpmem_phys::{PhysAddr, PhysLen, PhysRange, SourceError};
use std::sync::Arc;

/// Writes one image, front to back.
///
/// A writer never seeks and never reads back what it wrote, so that a pipe serves
/// as well as a file. Call [`begin`](Self::begin) once, [`chunk`](Self::chunk) for
/// every chunk of every planned range, by address and without gaps, and
/// [`finish`](Self::finish) once; a writer refuses any other order. Dropping a
/// writer does not finish the image.
pub trait ImageWriter: Send {
    /// The offset in the image, in bytes, at which the data of range `index` of the
    /// plan begins; `None` if there is no such range, or if the format does not
    /// store ranges in one piece.
    fn data_offset(&self, index: usize) -> Option<u64>;

    /// The work on each chunk that several threads can do before the chunk is
    /// written, such as compression. Its result goes into [`Chunk::frame`]. `None` if
    /// the format has no such work. Chunks that are all zeros need no encoding.
    fn encoder(&self) -> Option<Arc<dyn ChunkEncoder>> {
        None
    }

    /// Writes everything that precedes the first chunk.
    ///
    /// # Errors
    /// If the format cannot express the plan, or the output failed.
    fn begin(&mut self, out: &mut dyn ImageOutput) -> Result<(), WriteError>;

    /// Writes one chunk, and whatever the format puts in front of it.
    ///
    /// # Errors
    /// If the plan has another chunk next, or the output failed.
    fn chunk(&mut self, chunk: &Chunk<'_>, out: &mut dyn ImageOutput) -> Result<(), WriteError>;

    /// Writes everything that follows the last chunk.
    ///
    /// # Errors
    /// If chunks are missing, or the output failed.
    fn finish(&mut self, out: &mut dyn ImageOutput) -> Result<(), WriteError>;
}

/// A format's own work on each chunk, done by any thread. The same chunk always
/// gives the same bytes. Only the writer that returned the encoder can read them;
/// they are not what goes into the file.
pub trait ChunkEncoder: Send + Sync {
    /// Encodes `data`, the memory from `start` on, and replaces the content of
    /// `target` with the result.
    fn encode(&self, start: PhysAddr, data: &[u8], target: &mut Vec<u8>);

    /// An upper limit for the size of the encoded form of `len` bytes.
    fn bound(&self, len: usize) -> usize;
}

/// Why an image could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The output failed.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// The source of the memory failed as a whole.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The chunk is not the one that the plan has next.
    #[error("chunk out of order: it begins at {found}, but the image continues at {expected}")]
    OutOfOrder {
        /// Where the next chunk has to begin.
        expected: PhysAddr,
        /// Where the chunk begins.
        found: PhysAddr,
    },
    /// The chunk ends beyond the range in which it begins.
    #[error("the chunk of {len} at {start} ends beyond its range, {range}")]
    Overrun {
        /// Where the chunk begins.
        start: PhysAddr,
        /// Its length.
        len: PhysLen,
        /// The range in which it begins.
        range: PhysRange,
    },
    /// The image was finished before all of its data was written.
    #[error("the image is incomplete: the memory at {missing} was never written")]
    Incomplete {
        /// What is missing of the first range that is not complete.
        missing: PhysRange,
    },
    /// The caller broke the contract of [`ImageWriter`], or the writer its own.
    #[error("{0}: this is a bug in the program, please report it")]
    Misuse(&'static str),
    /// The format cannot express the image; the text says why.
    #[error("{0}")]
    Unsupported(String),
    /// A thread that the writer needs cannot be started.
    #[error("cannot start the thread {name}: {source}")]
    Thread {
        /// The name of the thread.
        name: &'static str,
        /// The underlying error.
        source: std::io::Error,
    },
    /// A file that is to be stored in the image cannot be read.
    #[error("cannot read {name} to store it in the image: {source}")]
    Attachment {
        /// The name of the file.
        name: String,
        /// The underlying error.
        source: std::io::Error,
    },
}
