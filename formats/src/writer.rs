// SPDX-License-Identifier: MIT OR Apache-2.0
//! What every format's writer does.

use crate::{ImageOutput, OutputError};
use bytes::Bytes;
use linpmem_phys::{PhysAddr, PhysLen, PhysRange, Unreadable, ZeroBlocks};
use std::sync::Arc;

/// Writes one image, front to back.
///
/// Writers never seek and never ask back. The calls come in this order:
/// [`begin`](Self::begin) once, [`chunk`](Self::chunk) for every chunk of every
/// planned range by address and without gaps, [`finish`](Self::finish) once.
/// Dropping a writer finishes nothing.
pub trait ImageWriter: Send {
    /// The offset in the image at which the data of range `index` of the plan
    /// begins.
    fn data_offset(&self, index: usize) -> Option<u64>;

    /// What can be done to each chunk alone, by many threads, before it comes
    /// here; its result then is the chunk's [`Chunk::frame`]. `None` if there is no
    /// such work. A chunk that is zero throughout is never encoded.
    fn encoder(&self) -> Option<Arc<dyn ChunkEncoder>> {
        None
    }

    /// Writes what comes before the first chunk.
    ///
    /// # Errors
    /// If the plan cannot be expressed in this format, or the output failed.
    fn begin(&mut self, out: &mut dyn ImageOutput) -> Result<(), WriteError>;

    /// Writes one chunk, and whatever the format wants before it.
    ///
    /// # Errors
    /// If the chunk is not the one that the plan has next, or the output failed.
    fn chunk(&mut self, chunk: &Chunk<'_>, out: &mut dyn ImageOutput) -> Result<(), WriteError>;

    /// Writes what comes after the last chunk.
    ///
    /// # Errors
    /// If chunks are missing, or the output failed.
    fn finish(&mut self, out: &mut dyn ImageOutput) -> Result<(), WriteError>;
}

/// A format's own work on each chunk. The same chunk gives the same bytes, whoever
/// does it; what they mean is between this and the writer.
pub trait ChunkEncoder: Send + Sync {
    /// Replaces what `target` holds by the encoded form of the memory `data`, which
    /// begins at `start`.
    fn encode(&self, start: PhysAddr, data: &[u8], target: &mut Vec<u8>);

    /// The most bytes that the encoded form of `len` bytes can take.
    fn bound(&self, len: usize) -> usize;
}

/// A piece of memory on its way into an image. It lies in one planned range.
///
/// Its bytes are shared: cloning them copies nothing, and they stay where they were
/// read until the last holder drops them.
#[derive(Clone, Debug)]
pub struct Chunk<'a> {
    /// The address of the first byte.
    pub start: PhysAddr,
    /// The bytes; zero where they could not be read.
    pub data: Bytes,
    /// Which blocks of `data` are zero, for whatever reason.
    pub zeros: ZeroBlocks,
    /// The encoded form of `data`, if the writer has an encoder; else its compressed
    /// form, if the output is to be compressed.
    pub frame: Option<Bytes>,
    /// What could not be read.
    pub unreadable: &'a [Unreadable],
}

impl<'a> Chunk<'a> {
    /// A chunk of `data`, which is looked at once to find the zeros in it.
    #[must_use]
    pub fn new(start: PhysAddr, data: Bytes, unreadable: &'a [Unreadable]) -> Self {
        Self {
            start,
            zeros: ZeroBlocks::of(&data),
            data,
            frame: None,
            unreadable,
        }
    }

    /// The same chunk with an encoded or compressed form of its data.
    #[must_use]
    pub fn with_frame(self, frame: Option<Bytes>) -> Self {
        Self { frame, ..self }
    }

    /// Whether every byte is zero.
    #[must_use]
    pub const fn is_zero(&self) -> bool {
        self.zeros.all()
    }
}

/// An image that could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The output failed.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// A chunk came that the plan does not have next.
    #[error("the next byte of the image belongs to {expected}, but the chunk begins at {found}")]
    OutOfOrder {
        /// Where the next chunk was to begin.
        expected: PhysAddr,
        /// Where it begins.
        found: PhysAddr,
    },
    /// A chunk reaches beyond the range that it begins in.
    #[error("the chunk of {len} at {start} reaches beyond its range, {range}")]
    Overrun {
        /// Where the chunk begins.
        start: PhysAddr,
        /// Its length.
        len: PhysLen,
        /// The range that it begins in.
        range: PhysRange,
    },
    /// The image was to be finished before this range was complete.
    #[error("the image lacks data from {missing}")]
    Incomplete {
        /// What is missing of the range.
        missing: PhysRange,
    },
    /// The calls came in another order than [`ImageWriter`] asks for.
    #[error("{0}: this is a defect of the caller")]
    Misuse(&'static str),
    /// The format cannot hold such an image.
    #[error("{0}")]
    Unsupported(String),
    /// A file that is to lie in the image beside the memory cannot be read.
    #[error("{name}, which is to lie in the image: {source}")]
    Attachment {
        /// Which.
        name: String,
        /// The system's reason.
        source: std::io::Error,
    },
}
