// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is done to each chunk alone: zero blocks, hash, compression.

use super::read::{Place, RawChunk, ReadTime};
use crate::buffer::{CHUNK_BYTES, Pool, Pooled};
use crate::frame::FrameEncoder;
use crate::hash::{Backend, sha256};
use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender, select};
use linpmem_formats::{ChunkEncoder, Codec};
use linpmem_manifest::Sha256Sum;
use linpmem_phys::num::u64_as_usize;
use linpmem_phys::{PageBuffer, Unreadables, ZeroBlocks};
use std::collections::HashMap;
use std::io;
use std::sync::{Mutex, PoisonError};

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

/// How chunks are hashed and encoded.
pub struct Work<'a> {
    /// The compression around the image.
    pub codec: Codec,
    /// The format's own encoding, instead of a compression around the image.
    pub own: Option<&'a dyn ChunkEncoder>,
    /// How chunks are hashed.
    pub backend: Backend,
    /// The buffers that chunks are in.
    pub buffers: &'a Pool<PageBuffer>,
    /// Buffers for encoded chunks.
    pub frames: &'a Pool<Vec<u8>>,
    /// Chunks of zeros, which all threads have in common.
    pub zero_chunks: &'a Mutex<ZeroChunks>,
}

/// Where chunks come from, and where they go.
pub struct Queues {
    /// From the reader.
    pub chunks: Receiver<RawChunk>,
    /// To any worker, to be encoded. Has room for every buffer.
    pub hashed: Sender<HashedChunk>,
    /// The same.
    pub unencoded: Receiver<HashedChunk>,
    /// To the writing end: chunks, or why there will not be all of them.
    pub finished: Sender<io::Result<FinishedChunk>>,
}

/// A chunk that is not zero.
#[derive(Debug)]
pub struct HashedChunk {
    /// Without its buffer.
    raw: RawChunk,
    buffer: Pooled<PageBuffer>,
    zeros: ZeroBlocks,
    sha256: Sha256Sum,
}

/// Why a worker does not go on.
enum Stopped {
    /// There are no more chunks, or no thread takes the results.
    Ended,
    /// The compression failed.
    Failed(io::Error),
}

impl Stopped {
    fn tell(self, queues: &Queues) {
        if let Self::Failed(error) = self {
            // If nobody listens, the writing end has failed itself.
            let _ = queues.finished.send(Err(error));
        }
    }
}

/// Works on chunks until there are no more, or until no thread takes the results. If the
/// compression fails, the writing end is told: it would wait for the chunk forever, and
/// the reader for the buffers of those behind it.
pub fn work(queues: &Queues, how: &Work<'_>) {
    let stopped = match FrameEncoder::new(how.codec) {
        Ok(encoder) => Worker::new(queues, how, encoder).run(),
        Err(error) => Stopped::Failed(error),
    };
    stopped.tell(queues);
}

struct Worker<'a> {
    queues: &'a Queues,
    how: &'a Work<'a>,
    encoder: Option<FrameEncoder>,
}

impl<'a> Worker<'a> {
    fn new(queues: &'a Queues, how: &'a Work<'a>, encoder: Option<FrameEncoder>) -> Self {
        Self {
            queues,
            how,
            encoder,
        }
    }

    fn run(mut self) -> Stopped {
        loop {
            if let Err(stopped) = self.step() {
                return stopped;
            }
        }
    }

    /// Encodes a chunk that is hashed; if there is none, hashes those that wait.
    fn step(&mut self) -> Result<(), Stopped> {
        let queues = self.queues;
        if let Ok(chunk) = queues.unencoded.try_recv() {
            return self.encode(chunk);
        }
        select! {
            recv(queues.unencoded) -> chunk => match chunk {
                Ok(chunk) => self.encode(chunk),
                Err(_) => Err(Stopped::Ended),
            },
            recv(queues.chunks) -> raw => match raw {
                Ok(raw) => self.hash(raw),
                // Whoever hashes now encodes as well.
                Err(_) => match queues.unencoded.try_recv() {
                    Ok(chunk) => self.encode(chunk),
                    Err(_) => Err(Stopped::Ended),
                },
            },
        }
    }

    /// Hashes `first` and the chunks that wait behind it, as many as are hashed at once.
    fn hash(&mut self, first: RawChunk) -> Result<(), Stopped> {
        let queues = self.queues;
        let most = self.how.backend.at_once(1 + queues.chunks.len());
        let mut batch = Vec::with_capacity(most);
        let mut next = Some(first);
        while let Some(mut raw) = next {
            let read = raw.buffer.take().map(|read| (ZeroBlocks::of(&read), read));
            match read.filter(|(zeros, _)| !zeros.all()) {
                Some((zeros, buffer)) => batch.push((raw, buffer, zeros)),
                // What was not read is zero.
                None => self.pass_zeros(raw)?,
            }
            next = match batch.len() < most {
                true => queues.chunks.try_recv().ok(),
                false => None,
            };
        }
        let messages: Vec<&[u8]> = batch.iter().map(|(_, buffer, _)| &***buffer).collect();
        let sums = self.how.backend.digests(&messages);
        // Reader and disk wait for this thread.
        if self.how.buffers.is_exhausted() && queues.finished.is_empty() {
            self.how.buffers.grow();
        }
        let is_encoded = self.how.own.is_some() || self.encoder.is_some();
        for ((raw, buffer, zeros), sum) in batch.into_iter().zip(sums) {
            let chunk = HashedChunk {
                raw,
                buffer,
                zeros,
                sha256: Sha256Sum::new(sum),
            };
            if is_encoded {
                queues.hashed.send(chunk).map_err(|_| Stopped::Ended)?;
            } else {
                self.pass(chunk, None)?;
            }
        }
        Ok(())
    }

    fn encode(&mut self, chunk: HashedChunk) -> Result<(), Stopped> {
        let mut frame = self.how.frames.take().ok_or(Stopped::Ended)?;
        frame.clear();
        let start = chunk.raw.place.range.start();
        match (self.how.own, &mut self.encoder) {
            (Some(own), _) => own.encode(start, &chunk.buffer, &mut frame),
            (None, Some(encoder)) => encoder
                .encode(&chunk.buffer, &mut frame)
                .map_err(Stopped::Failed)?,
            (None, None) => {}
        }
        self.pass(chunk, Some(Bytes::from_owner(frame)))
    }

    fn pass(&self, chunk: HashedChunk, frame: Option<Bytes>) -> Result<(), Stopped> {
        let HashedChunk {
            raw,
            buffer,
            zeros,
            sha256,
        } = chunk;
        self.finish(FinishedChunk {
            sequence: raw.sequence,
            turn: Some(raw.turn),
            place: raw.place,
            data: Bytes::from_owner(buffer),
            zeros,
            frame,
            sha256,
            unreadable: raw.unreadable,
            time: raw.time,
        })
    }

    fn pass_zeros(&mut self, raw: RawChunk) -> Result<(), Stopped> {
        let len = u64_as_usize(raw.place.range.len().get());
        let known = {
            let zero_chunks = self.how.zero_chunks.lock();
            // A panic in another thread leaves no chunk half known.
            let mut zero_chunks = zero_chunks.unwrap_or_else(PoisonError::into_inner);
            let known = zero_chunks.get(len, self.encoder.as_mut());
            known.map_err(Stopped::Failed)?
        };
        self.finish(FinishedChunk {
            sequence: raw.sequence,
            turn: Some(raw.turn),
            place: raw.place,
            data: known.data,
            zeros: ZeroBlocks::zero(),
            frame: known.frame,
            sha256: known.sha256,
            unreadable: raw.unreadable,
            time: raw.time,
        })
    }

    fn finish(&self, chunk: FinishedChunk) -> Result<(), Stopped> {
        let sent = self.queues.finished.send(Ok(chunk));
        sent.map_err(|_| Stopped::Ended)
    }
}

/// What all zero chunks of one length have in common. There are as many lengths as pages
/// in a chunk.
pub struct ZeroChunks {
    zeros: Bytes,
    known: HashMap<usize, ZeroChunk>,
}

#[derive(Clone)]
pub struct ZeroChunk {
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
                // Encoders take more room than they fill, up to a whole chunk of it.
                Some(Bytes::copy_from_slice(&frame))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crossbeam_channel::bounded;
    use linpmem_phys::{PhysAddr, PhysLen, PhysRange};

    const LEN: u64 = 8192;

    fn raw(sequence: u64, byte: u8, pool: &Pool<PageBuffer>) -> RawChunk {
        let mut buffer = pool.take().unwrap();
        buffer.fill(byte);
        let start = PhysAddr::new(sequence * LEN);
        RawChunk {
            sequence,
            turn: Pool::new(1, || ()).take().unwrap(),
            place: Place {
                range_index: 0,
                range: PhysRange::from_len(start, PhysLen::new(LEN)).unwrap(),
            },
            buffer: Some(buffer),
            unreadable: Unreadables::new(),
            time: ReadTime {
                begin_ns: sequence,
                end_ns: sequence,
            },
        }
    }

    fn pool(first: usize) -> Pool<PageBuffer> {
        Pool::growing(first, first + 4, || {
            PageBuffer::new(LEN.try_into().unwrap())
        })
    }

    /// Works on the chunks of `bytes`, in one thread, and returns what was `finished` before
    /// and now.
    fn worked(
        bytes: &[u8],
        buffers: &Pool<PageBuffer>,
        codec: Codec,
        backend: Backend,
        finished: &[FinishedChunk],
    ) -> Vec<FinishedChunk> {
        let (reader, chunks) = bounded(32);
        let (hashed, unencoded) = bounded(32);
        let (done, results) = bounded(32);
        for (sequence, &byte) in (0..).zip(bytes) {
            reader.send(raw(sequence, byte, buffers)).unwrap();
        }
        drop(reader);
        for chunk in finished {
            done.send(Ok(chunk.copy())).unwrap();
        }
        let queues = Queues {
            chunks,
            hashed,
            unencoded,
            finished: done,
        };
        let how = Work {
            codec,
            own: None,
            backend,
            buffers,
            frames: &Pool::new(32, || Vec::with_capacity(FrameEncoder::bound(1 << 20))),
            zero_chunks: &Mutex::default(),
        };
        work(&queues, &how);
        drop(queues);
        results.iter().map(Result::unwrap).collect()
    }

    impl FinishedChunk {
        fn copy(&self) -> Self {
            Self {
                turn: None,
                data: self.data.clone(),
                zeros: ZeroBlocks::of(&self.data),
                frame: self.frame.clone(),
                unreadable: Unreadables::new(),
                ..*self
            }
        }
    }

    #[test]
    fn every_chunk_keeps_what_belongs_to_it() {
        // More than lanes, and zeros between them.
        let bytes = [
            1, 2, 0, 3, 4, 5, 6, 7, 0, 0, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 0,
        ];
        for backend in Backend::all().into_iter().chain([Backend::best()]) {
            for codec in [Codec::None, Codec::Lz4] {
                let mut finished = worked(&bytes, &pool(bytes.len()), codec, backend, &[]);
                finished.sort_by_key(|chunk| chunk.sequence);
                assert_eq!(finished.len(), bytes.len());
                for (chunk, (sequence, byte)) in finished.iter().zip((0..).zip(bytes)) {
                    let expected = vec![byte; LEN.try_into().unwrap()];
                    assert_eq!(chunk.sequence, sequence);
                    assert_eq!(chunk.time.begin_ns, sequence);
                    assert_eq!(chunk.place.range.start().get(), sequence * LEN);
                    assert!(chunk.data == expected);
                    assert_eq!(chunk.zeros.all(), byte == 0);
                    assert_eq!(chunk.sha256, sha256(&expected));
                    let mut frame = Vec::new();
                    if let Some(mut encoder) = FrameEncoder::new(codec).unwrap() {
                        encoder.encode(&expected, &mut frame).unwrap();
                        assert_eq!(chunk.frame.as_deref(), Some(&*frame));
                    } else {
                        assert_eq!(chunk.frame, None);
                    }
                }
            }
        }
    }

    #[test]
    fn the_pool_grows_if_all_wait_for_a_worker() {
        let backend = Backend::alone();
        let bytes = [1];
        let buffers = pool(1);
        let finished = worked(&bytes, &buffers, Codec::None, backend, &[]);
        assert!(!buffers.is_exhausted(), "reader and disk have waited");
        // The disk has something to do.
        let buffers = pool(1);
        let two = worked(&bytes, &buffers, Codec::None, backend, &finished);
        assert_eq!(two.len(), 2);
        assert!(buffers.is_exhausted());
        // The reader has buffers.
        let buffers = pool(2);
        let one = worked(&bytes, &buffers, Codec::None, backend, &[]);
        assert_eq!(one.len(), 1);
        let _last = buffers.take().unwrap();
        assert!(buffers.is_exhausted());
    }
    #[test]
    fn the_writing_end_is_told_of_a_failed_compression() {
        let (reader, chunks) = bounded(2);
        let (hashed, unencoded) = bounded(2);
        let (finished, results) = bounded(2);
        let buffers = pool(2);
        let frames = Pool::new(2, || Vec::with_capacity(1 << 20));
        let how = Work {
            codec: Codec::Lz4,
            own: None,
            backend: Backend::alone(),
            buffers: &buffers,
            frames: &frames,
            zero_chunks: &Mutex::default(),
        };
        let queues = Queues {
            chunks,
            hashed,
            unencoded,
            finished,
        };
        for sequence in 0..2 {
            reader.send(raw(sequence, 1, &buffers)).unwrap();
        }
        let worker = Worker::new(&queues, &how, Some(FrameEncoder::failing()));
        worker.run().tell(&queues);
        let error = results.try_recv().unwrap().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::OutOfMemory);
    }
}
