// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is done to each chunk alone: zero runs, hash, compression.

use super::read::{Place, RawChunk, ReadTime};
use super::zero::ZeroBlocks;
use crate::buffer::Buffer;
use crate::frame::FrameEncoder;
use crate::hash::sha256;
use crossbeam_channel::{Receiver, Sender};
use linpmem_formats::{ChunkEncoder, Codec};
use linpmem_manifest::Sha256Sum;
use linpmem_phys::Unreadables;
use std::collections::HashMap;
use std::io;
use std::sync::Arc;

/// A chunk, ready to be written.
#[derive(Debug)]
pub struct FinishedChunk {
    /// Counts the chunks of the plan from 0, in order.
    pub sequence: u64,
    /// Where it lies.
    pub place: Place,
    /// Its bytes.
    pub payload: Payload,
    /// Their sum.
    pub sha256: Sha256Sum,
    /// What could not be read.
    pub unreadable: Unreadables,
    /// When it was read.
    pub time: ReadTime,
}

/// A chunk's bytes.
#[derive(Clone, Debug)]
pub enum Payload {
    /// Zero throughout.
    Zero {
        /// Their compressed form; empty if the image is not compressed.
        frame: Arc<[u8]>,
    },
    /// Anything else.
    Data {
        /// The bytes, and their compressed form if the image is compressed.
        buffer: Arc<Buffer>,
        /// Which of them are zero.
        zeros: ZeroBlocks,
    },
}

/// Works on `chunks` until there are no more, or nobody takes the results. `own`
/// is the format's own work, which stands in for a compression around the image.
///
/// # Errors
/// If the compression failed.
pub fn work(
    chunks: &Receiver<RawChunk>,
    finished: &Sender<FinishedChunk>,
    codec: Codec,
    own: Option<&dyn ChunkEncoder>,
) -> io::Result<()> {
    let mut encoder = FrameEncoder::new(codec)?;
    let mut zero_chunks = ZeroChunks::default();
    for raw in chunks {
        let RawChunk {
            sequence,
            place,
            mut buffer,
            unreadable,
            time,
        } = raw;
        let zeros = ZeroBlocks::of(buffer.data());
        let (sha256, payload) = if zeros.all() {
            let known = zero_chunks.get(buffer.data(), encoder.as_mut())?;
            (known.sha256, Payload::Zero { frame: known.frame })
        } else {
            let sha256 = sha256(buffer.data());
            let (data, frame) = buffer.data_and_frame();
            if let Some(own) = own {
                own.encode(place.range.start(), data, frame);
            } else if let Some(encoder) = &mut encoder {
                encoder.encode(data, frame)?;
            }
            let buffer = Arc::new(buffer);
            (sha256, Payload::Data { buffer, zeros })
        };
        let done = FinishedChunk {
            sequence,
            place,
            payload,
            sha256,
            unreadable,
            time,
        };
        if finished.send(done).is_err() {
            return Ok(());
        }
    }
    Ok(())
}

/// What is always the same for zero chunks of one length. There are as many
/// lengths as pages in a chunk.
#[derive(Default)]
pub(super) struct ZeroChunks(HashMap<usize, ZeroChunk>);

#[derive(Clone)]
pub(super) struct ZeroChunk {
    pub(super) sha256: Sha256Sum,
    pub(super) frame: Arc<[u8]>,
}

impl ZeroChunks {
    pub(super) fn get(
        &mut self,
        zeros: &[u8],
        encoder: Option<&mut FrameEncoder>,
    ) -> io::Result<ZeroChunk> {
        if let Some(known) = self.0.get(&zeros.len()) {
            return Ok(known.clone());
        }
        let mut frame = Vec::new();
        if let Some(encoder) = encoder {
            encoder.encode(zeros, &mut frame)?;
        }
        let chunk = ZeroChunk {
            sha256: sha256(zeros),
            frame: frame.into(),
        };
        self.0.insert(zeros.len(), chunk.clone());
        Ok(chunk)
    }
}
