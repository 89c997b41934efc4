// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is done to each chunk alone: zero blocks, hash, compression.

use super::read::{Place, RawChunk, ReadTime};
use crate::buffer::{CHUNK_BYTES, Pool, Pooled};
use crate::frame::FrameEncoder;
use crate::hash::sha256;
use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender};
use linpmem_formats::{ChunkEncoder, Codec};
use linpmem_manifest::Sha256Sum;
use linpmem_phys::num::u64_as_usize;
use linpmem_phys::{Unreadables, ZeroBlocks};
use std::collections::HashMap;
use std::io;

/// A chunk, ready to be written.
#[derive(Debug)]
pub struct FinishedChunk {
    /// Counts the chunks of the plan from 0, in order.
    pub sequence: u64,
    /// Goes back when the chunk was written; none if it was not read.
    pub turn: Option<Pooled<()>>,
    /// Where it is.
    pub place: Place,
    /// Its bytes, in the buffer that they were read into.
    pub data: Bytes,
    /// Which of them are zero.
    pub zeros: ZeroBlocks,
    /// Their encoded or compressed form, if the image has one.
    pub frame: Option<Bytes>,
    /// Their hash.
    pub sha256: Sha256Sum,
    /// What could not be read.
    pub unreadable: Unreadables,
    /// When it was read.
    pub time: ReadTime,
}

/// How chunks are encoded.
pub struct Work<'a> {
    /// The compression around the image.
    pub codec: Codec,
    /// The format's own encoding, instead of a compression around the image.
    pub own: Option<&'a dyn ChunkEncoder>,
    /// Buffers for encoded chunks.
    pub frames: &'a Pool<Vec<u8>>,
}

/// Works on `chunks` until there are no more, or until no thread takes the results.
///
/// # Errors
/// If the compression failed.
pub fn work(
    chunks: &Receiver<RawChunk>,
    finished: &Sender<FinishedChunk>,
    work: &Work<'_>,
) -> io::Result<()> {
    let mut encoder = FrameEncoder::new(work.codec)?;
    let mut zero_chunks = ZeroChunks::default();
    for raw in chunks {
        let RawChunk {
            sequence,
            turn,
            place,
            buffer,
            unreadable,
            time,
        } = raw;
        // What was not read is zero.
        let read = buffer.map(|buffer| (ZeroBlocks::of(&buffer), buffer));
        let zeros = read
            .as_ref()
            .map_or(ZeroBlocks::zero(), |(zeros, _)| *zeros);
        let (data, frame, sha256) = if let Some((_, buffer)) = read.filter(|_| !zeros.all()) {
            let sha256 = sha256(&buffer);
            let start = place.range.start();
            let frame = match (work.own, &mut encoder) {
                (None, None) => None,
                (own, encoder) => {
                    let Some(mut frame) = work.frames.take() else {
                        return Ok(());
                    };
                    frame.clear();
                    match (own, encoder) {
                        (Some(own), _) => own.encode(start, &buffer, &mut frame),
                        (None, Some(encoder)) => encoder.encode(&buffer, &mut frame)?,
                        (None, None) => {}
                    }
                    Some(Bytes::from_owner(frame))
                }
            };
            (Bytes::from_owner(buffer), frame, sha256)
        } else {
            let len = u64_as_usize(place.range.len().get());
            let known = zero_chunks.get(len, encoder.as_mut())?;
            (known.data, known.frame, known.sha256)
        };
        let done = FinishedChunk {
            sequence,
            turn: Some(turn),
            place,
            data,
            zeros,
            frame,
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

/// What all zero chunks of one length have in common. There are as many lengths as pages
/// in a chunk.
pub(super) struct ZeroChunks {
    zeros: Bytes,
    known: HashMap<usize, ZeroChunk>,
}

#[derive(Clone)]
pub(super) struct ZeroChunk {
    pub(super) data: Bytes,
    pub(super) frame: Option<Bytes>,
    pub(super) sha256: Sha256Sum,
}

impl Default for ZeroChunks {
    fn default() -> Self {
        Self {
            zeros: vec![0; CHUNK_BYTES].into(),
            known: HashMap::new(),
        }
    }
}

impl ZeroChunks {
    /// The zero chunk of `len` bytes, at most [`CHUNK_BYTES`].
    pub(super) fn get(
        &mut self,
        len: usize,
        encoder: Option<&mut FrameEncoder>,
    ) -> io::Result<ZeroChunk> {
        if let Some(known) = self.known.get(&len) {
            return Ok(known.clone());
        }
        let data = self.zeros.slice(..len);
        let frame = match encoder {
            Some(encoder) => {
                let mut frame = Vec::new();
                encoder.encode(&data, &mut frame)?;
                Some(frame.into())
            }
            None => None,
        };
        let chunk = ZeroChunk {
            sha256: sha256(&data),
            data,
            frame,
        };
        self.known.insert(len, chunk.clone());
        Ok(chunk)
    }
}
