// SPDX-License-Identifier: MIT OR Apache-2.0
//! Between a format's writer and the sink: compression and the file's hash.

use super::hash::{Feed, FileHashes, HashEnd};
use super::unseen::{Unhashed, Unseen};
use crate::frame::FrameEncoder;
use crate::hash::RemainderDigest;
use crate::sink::Sink;
use bytes::Bytes;
use linpmem_formats::{Chunk, Codec, ImageOutput, OutputError, frames};
use linpmem_manifest::FrameRecord;
use linpmem_manifest::{FurtherHash, HashRecord, Sha256Sum};
use linpmem_phys::hex;
use linpmem_phys::num::{len_bytes, u64_as_usize, usize_as_u64};
use std::io;

/// Zero bytes in one frame, where a format wants many.
const ZERO_FRAME_BYTES: u64 = 1 << 20;

/// The bytes of an image on their way to the sink.
pub struct ImageStream<'a> {
    sink: &'a mut dyn Sink,
    file_hashes: FileHashes<'a>,
    codec: Codec,
    frames: Option<Frames>,
    /// The hash over the bytes outside the chunks, if chunks are in the file unchanged.
    outside: Option<RemainderDigest>,
    /// What will have to be read back, once there is anything.
    unseen: Option<Unseen>,
    position: u64,
    last_frame: Option<FrameRecord>,
}

/// What compression needs to know.
struct Frames {
    encoder: FrameEncoder,
    table: Vec<frames::ZstdFrame>,
    /// Bytes between chunks (headers and the like) that are not in a frame yet.
    pending: Vec<u8>,
    /// A frame of [`ZERO_FRAME_BYTES`] zero bytes.
    zeros: Option<Bytes>,
}

/// The file that a stream made.
#[derive(Clone, Debug, Default)]
pub struct Streamed {
    /// Bytes of the file.
    pub file_length: u64,
    /// Bytes of the image before compression.
    pub image_length: u64,
    /// The file's hash.
    pub sha256: Option<Sha256Sum>,
    /// Further hashes of it.
    pub hashes: Vec<HashRecord>,
    /// What is missing of its hashes, until the file has been read back.
    pub unhashed: Option<Box<Unhashed>>,
    /// The hash over the bytes outside the chunks, if chunks are in the file unchanged.
    pub sha256_remainder: Option<Sha256Sum>,
}

impl Streamed {
    /// Adds a hash of the file; `None` is SHA-256.
    ///
    /// # Errors
    /// If it has a wrong length, which is a bug.
    pub fn add_hash(&mut self, algorithm: Option<FurtherHash>, digest: &[u8]) -> io::Result<()> {
        match algorithm {
            None => self.sha256 = Some(Sha256Sum::try_from(digest).map_err(io::Error::other)?),
            Some(algorithm) => {
                let digest = hex::encode(digest);
                self.hashes.push(HashRecord { algorithm, digest });
                self.hashes.sort_unstable_by_key(|record| record.algorithm);
            }
        }
        Ok(())
    }
}

impl<'a> ImageStream<'a> {
    /// A stream into `sink`, compressed by `codec` and hashed by `file_hashes`. `is_plain` means
    /// that chunks will be in the file unchanged.
    ///
    /// # Errors
    /// If there is no memory for the compression.
    pub fn new(
        sink: &'a mut dyn Sink,
        codec: Codec,
        file_hashes: FileHashes<'a>,
        is_plain: bool,
    ) -> io::Result<Self> {
        let frames = FrameEncoder::between_chunks(codec)?.map(|encoder| Frames {
            encoder,
            table: Vec::new(),
            pending: Vec::new(),
            zeros: None,
        });
        Ok(Self {
            sink,
            file_hashes,
            codec,
            frames,
            outside: is_plain.then(RemainderDigest::default),
            unseen: None,
            position: 0,
            last_frame: None,
        })
    }

    /// Where the compressed form of the last chunk is in the file, if it has one.
    pub fn take_frame(&mut self) -> Option<FrameRecord> {
        self.last_frame.take()
    }

    /// Whether what was not read can be left out of the file as holes, at no cost.
    #[must_use]
    pub fn has_free_holes(&self) -> bool {
        self.sink.has_free_holes()
    }

    /// The file gets no hashes: after an interruption, hashing the memory that was not read
    /// would only take time.
    pub fn forgo_hashes(&mut self) {
        self.file_hashes.forgo();
    }

    /// Bytes of the file so far.
    #[must_use]
    pub fn file_position(&self) -> u64 {
        self.sink.position()
    }

    /// Ends the file and syncs it. After an error of the sink it has no hash.
    pub fn finish(mut self) -> (Streamed, io::Result<()>) {
        if let Err(error) = self.end() {
            return (self.abandon(), Err(error));
        }
        let file_length = self.sink.position();
        let is_behind = self.file_hashes.is_behind();
        let ends = match self.file_hashes.finish() {
            Ok(ends) => ends,
            Err(error) => return (self.abandon(), Err(error)),
        };
        let mut streamed = Streamed {
            file_length,
            image_length: self.position,
            sha256_remainder: self.outside.take().map(RemainderDigest::finish),
            ..Streamed::default()
        };
        let mut behind = Vec::new();
        for (algorithm, end) in ends {
            match end {
                HashEnd::Done(digest) => {
                    if let Err(error) = streamed.add_hash(algorithm, &digest) {
                        return (self.abandon(), Err(error));
                    }
                }
                HashEnd::Behind { hasher, position } => behind.push((algorithm, *hasher, position)),
                HashEnd::Stopped => {}
            }
        }
        if is_behind {
            let unseen = self
                .unseen
                .take()
                .unwrap_or_else(|| self.nothing_seen(file_length));
            streamed.unhashed = Some(Box::new(Unhashed {
                hashes: behind,
                unseen,
            }));
        }
        (streamed, Ok(()))
    }

    fn end(&mut self) -> io::Result<()> {
        self.flush_pending()?;
        // Only zstd has a seek table; the frames of the others are found one by one.
        let is_zstd = matches!(self.codec, Codec::Zstd { .. });
        if let Some(frames) = self.frames.take().filter(|_| is_zstd) {
            let table = frames::seek_table(&frames.table);
            self.sink.bytes(&table)?;
            self.hash(&Feed::Bytes(table.into()));
        }
        self.sink.finish()
    }

    /// Ends the file after an error, and returns what is known about it.
    pub fn abandon(&mut self) -> Streamed {
        self.sink.abandon();
        Streamed {
            file_length: self.sink.position(),
            image_length: self.position,
            ..Streamed::default()
        }
    }

    /// A piece for the hashes. A small one is copied: the buffer of a frame is as large as a
    /// chunk, however little is in it.
    fn for_hash(&self, bytes: &Bytes) -> Feed {
        const SMALL_BYTES: usize = 256 << 10;
        Feed::Bytes(
            match bytes.len() < SMALL_BYTES && self.file_hashes.is_fed() {
                true => Bytes::copy_from_slice(bytes),
                false => bytes.clone(),
            },
        )
    }

    /// Gives a piece that was written to the hashes.
    fn hash(&mut self, piece: &Feed) {
        self.file_hashes.feed(piece);
        if let Some(unseen) = self.unseen(piece.size()) {
            unseen.piece(piece);
        }
    }

    /// The same for bytes that are not shared yet.
    fn hash_bytes(&mut self, bytes: &[u8]) {
        if self.file_hashes.is_fed() {
            return self.hash(&Feed::Bytes(Bytes::copy_from_slice(bytes)));
        }
        self.file_hashes.skip(len_bytes(bytes));
        if let Some(unseen) = self.unseen(len_bytes(bytes)) {
            unseen.sum.bytes(bytes);
        }
    }

    /// Where what has to be read back is remembered, if anything has to be. It begins with
    /// the piece of `len` bytes that was written last.
    fn unseen(&mut self, len: u64) -> Option<&mut Unseen> {
        if self.file_hashes.is_behind() && self.unseen.is_none() {
            let start = self.sink.position().saturating_sub(len);
            self.unseen = Some(self.nothing_seen(start));
        }
        self.unseen.as_mut()
    }

    fn nothing_seen(&self, start: u64) -> Unseen {
        // Chunks have places if they are in the file unchanged, or in frames of their own.
        let are_chunks_placed = self.outside.is_some() || self.codec != Codec::None;
        Unseen::new(start, are_chunks_placed)
    }

    /// Writes bytes unchanged: the buffer that they were read into goes to the disk and to
    /// the hashes.
    fn plain_chunk(&mut self, chunk: &Chunk<'_>) -> io::Result<()> {
        if let Some(outside) = &mut self.outside {
            outside.end_stretch();
        }
        for (is_zero, run) in chunk.zeros.runs(chunk.data.len()) {
            if is_zero {
                self.sink.zeros(usize_as_u64(run.len()))?;
            } else {
                self.sink.shared(&chunk.data.slice(run))?;
            }
        }
        let piece = match chunk.is_zero() {
            true => Feed::Zeros(len_bytes(&chunk.data)),
            false => Feed::Bytes(chunk.data.clone()),
        };
        self.hash(&piece);
        Ok(())
    }

    fn framed_chunk(&mut self, chunk: &Chunk<'_>) -> io::Result<()> {
        self.flush_pending()?;
        let Some(frame) = &chunk.frame else {
            return self.encode(&chunk.data);
        };
        let offset = self.sink.position();
        self.sink.shared(frame)?;
        let piece = self.for_hash(frame);
        self.hash(&piece);
        self.list(frame.len(), len_bytes(&chunk.data))?;
        self.last_frame = Some(FrameRecord {
            offset,
            length: len_bytes(frame),
        });
        Ok(())
    }

    fn framed_zeros(&mut self, len: u64) -> io::Result<()> {
        self.flush_pending()?;
        let mut left = len;
        while left > 0 {
            let step = left.min(ZERO_FRAME_BYTES);
            if step == ZERO_FRAME_BYTES {
                let frame = self.zero_frame()?;
                self.sink.shared(&frame)?;
                self.list(frame.len(), step)?;
                self.hash(&Feed::Bytes(frame));
            } else {
                self.encode(&vec![0; u64_as_usize(step)])?;
            }
            left -= step;
        }
        Ok(())
    }

    fn zero_frame(&mut self) -> io::Result<Bytes> {
        let Some(frames) = &mut self.frames else {
            return Err(io::Error::other(
                "a frame of an image without frames; this is a bug",
            ));
        };
        if let Some(known) = &frames.zeros {
            return Ok(known.clone());
        }
        let mut frame = Vec::new();
        let zeros = vec![0; u64_as_usize(ZERO_FRAME_BYTES)];
        frames.encoder.encode(&zeros, &mut frame)?;
        let frame = Bytes::from(frame);
        frames.zeros = Some(frame.clone());
        Ok(frame)
    }

    /// Gives the bytes between chunks a frame.
    fn flush_pending(&mut self) -> io::Result<()> {
        let Some(frames) = &mut self.frames else {
            return Ok(());
        };
        let pending = std::mem::take(&mut frames.pending);
        // The headers of very many ranges can be longer than a frame should be.
        pending
            .chunks(u64_as_usize(ZERO_FRAME_BYTES))
            .try_for_each(|piece| self.encode(piece))
    }

    /// Compresses `data` and writes the frame.
    fn encode(&mut self, data: &[u8]) -> io::Result<()> {
        let mut frame = Vec::new();
        if let Some(frames) = &mut self.frames {
            frames.encoder.encode(data, &mut frame)?;
        }
        self.sink.bytes(&frame)?;
        self.list(frame.len(), len_bytes(data))?;
        self.hash(&Feed::Bytes(frame.into()));
        Ok(())
    }

    /// Puts a frame that was just written into the seek table.
    fn list(&mut self, frame_len: usize, content_len: u64) -> io::Result<()> {
        let too_long = |_| io::Error::other("a frame is too long for the seek table");
        if let Some(frames) = &mut self.frames {
            frames.table.push(frames::ZstdFrame {
                compressed_bytes: u32::try_from(frame_len).map_err(too_long)?,
                content_bytes: u32::try_from(content_len).map_err(too_long)?,
            });
        }
        Ok(())
    }

    fn advance(&mut self, len: u64, result: io::Result<()>) -> Result<(), OutputError> {
        result.map_err(|source| OutputError {
            position: self.position,
            source,
        })?;
        self.position += len;
        Ok(())
    }
}

impl ImageOutput for ImageStream<'_> {
    fn position(&self) -> u64 {
        self.position
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<(), OutputError> {
        let result = match &mut self.frames {
            Some(frames) => {
                frames.pending.extend_from_slice(bytes);
                match len_bytes(&frames.pending) < ZERO_FRAME_BYTES {
                    true => Ok(()),
                    // Artifacts behind the memory have any length.
                    false => self.flush_pending(),
                }
            }
            None => self.sink.bytes(bytes).map(|()| {
                self.hash_bytes(bytes);
                if let Some(outside) = &mut self.outside {
                    outside.bytes(bytes);
                }
            }),
        };
        self.advance(len_bytes(bytes), result)
    }

    fn shared(&mut self, bytes: &Bytes) -> Result<(), OutputError> {
        if self.frames.is_some() {
            return self.bytes(bytes);
        }
        let result = self.sink.shared(bytes).map(|()| {
            let piece = self.for_hash(bytes);
            self.hash(&piece);
            if let Some(outside) = &mut self.outside {
                outside.bytes(bytes);
            }
        });
        self.advance(len_bytes(bytes), result)
    }

    fn zeros(&mut self, len: u64) -> Result<(), OutputError> {
        let result = match &mut self.frames {
            // Padding between headers does not get a frame of its own.
            Some(frames) if len < 4096 => {
                let padded = frames.pending.len() + u64_as_usize(len);
                frames.pending.resize(padded, 0);
                Ok(())
            }
            Some(_) => self.framed_zeros(len),
            None => self.sink.zeros(len).map(|()| {
                self.hash(&Feed::Zeros(len));
                if let Some(outside) = &mut self.outside {
                    outside.zeros(len);
                }
            }),
        };
        self.advance(len, result)
    }

    fn chunk(&mut self, chunk: &Chunk<'_>) -> Result<(), OutputError> {
        let result = if self.frames.is_some() {
            self.framed_chunk(chunk)
        } else {
            self.plain_chunk(chunk)
        };
        self.advance(len_bytes(&chunk.data), result)
    }
}
