// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which part of a file is not what was written, once it is known that some part is not:
//! chunk by chunk, by the SHA-256 sums that the manifest has.

use super::CHUNK_BYTES;
use super::read_back_error::ReadBackError;
use crate::frame::{FrameDecoder, FrameEncoder};
use crate::hash::sha256;
use crate::meter::Meter;
use crate::sink::{WrittenFile, hole};
use crate::stop::Stop;
use linpmem_formats::{ImagePlan, ImageWriter};
use linpmem_manifest::{ChunkContent, Chunks, ListedChunk, ReadError, Reader};
use linpmem_phys::PageBuffer;
use linpmem_phys::num::{len_bytes, u64_as_usize};
use std::io::{BufReader, Read};
use std::path::Path;

/// A file of which something from `start` on differs.
pub struct Differing<'a> {
    /// The file.
    pub written: &'a mut WrittenFile,
    /// Its manifest up to here.
    pub manifest: Box<dyn Read + 'a>,
    /// Where the part begins that differs somewhere.
    pub start: u64,
    /// The file's length.
    pub end: u64,
    /// Raised to end early.
    pub stop: &'a Stop,
    /// Counts the progress.
    pub meter: &'a Meter,
}

/// Where chunks are in the file.
pub struct Places<'a> {
    plan: &'a ImagePlan,
    writer: &'a dyn ImageWriter,
}

impl<'a> Places<'a> {
    /// The places of the chunks of `plan` where `writer` put them.
    pub const fn new(plan: &'a ImagePlan, writer: &'a dyn ImageWriter) -> Self {
        Self { plan, writer }
    }

    /// The offset and the length of a chunk.
    fn of(&self, listed: &ListedChunk) -> Option<(u64, u64)> {
        let chunk = &listed.chunk;
        if let Some(frame) = chunk.frame {
            return Some((frame.offset, frame.length));
        }
        let index = u64_as_usize(listed.range);
        let range = self.plan.ranges().get(index)?.range;
        let within = chunk.addresses.start().checked_sub(range.start())?;
        let begin = self.writer.data_offset(index)?;
        Some((
            begin.checked_add(within.get())?,
            chunk.addresses.len().get(),
        ))
    }
}

impl Differing<'_> {
    /// The first chunk that differs; without places, or if it is none, all there is to say.
    pub fn find(mut self, places: Option<Places<'_>>) -> ReadBackError {
        let Some(places) = places else {
            return self.somewhere();
        };
        self.chunk(&places).unwrap_or(ReadBackError::Outside {
            start: self.start,
            what: "headers, notes or padding, or a chunk that it gives back now and did not before",
        })
    }

    /// What can be said if the search ends early, which makes the disk no better.
    const fn somewhere(&self) -> ReadBackError {
        ReadBackError::Outside {
            start: self.start,
            what: "somewhere up to its end",
        }
    }

    /// The first chunk that differs, if any does.
    fn chunk(&mut self, places: &Places<'_>) -> Option<ReadBackError> {
        let manifest = std::mem::replace(&mut self.manifest, Box::new(std::io::empty()));
        let lines = BufReader::with_capacity(64 << 10, manifest);
        let mut buffer = PageBuffer::new(FrameEncoder::bound(CHUNK_BYTES) + WrittenFile::MARGIN);
        let mut decoder = FrameDecoder::default();
        for listed in Chunks::new(Reader::new(lines, Path::new("the manifest"))) {
            let listed = match listed {
                Ok(listed) => listed,
                // It has no last line yet.
                Err(ReadError::Truncated { .. }) => break,
                Err(_) => return Some(self.somewhere()),
            };
            let Some((offset, len)) = places.of(&listed) else {
                return Some(self.somewhere());
            };
            if offset.saturating_add(len) <= self.start {
                continue;
            }
            if self.stop.is_raised() {
                return Some(self.somewhere());
            }
            let is_same = match hole(self.written.file(), self.end, offset, len) == len {
                // A frame is never all zero.
                true => listed.chunk.frame.is_none() && listed.chunk.content == ChunkContent::Zero,
                false => match self.written.read(offset, len, &mut buffer) {
                    Ok(at) => buffer
                        .get(at)
                        .is_some_and(|bytes| is_as_written(&listed, bytes, &mut decoder)),
                    Err(source) => return Some(ReadBackError::Read { offset, source }),
                },
            };
            self.meter.add_hashed(len);
            if !is_same {
                return Some(ReadBackError::Chunk {
                    range: listed.range,
                    number: listed.number,
                    addresses: listed.chunk.addresses,
                    offset,
                });
            }
        }
        None
    }
}

/// Whether `bytes` of the file are the chunk, or its frame.
fn is_as_written(listed: &ListedChunk, bytes: &[u8], decoder: &mut FrameDecoder) -> bool {
    let chunk = &listed.chunk;
    let mut memory = Vec::new();
    let content = match chunk.frame {
        Some(_) => {
            memory.resize(u64_as_usize(chunk.addresses.len().get()), 0);
            if decoder.decode(bytes, &mut memory).is_err() {
                return false;
            }
            memory.as_slice()
        }
        None => bytes,
    };
    match chunk.content {
        ChunkContent::Zero => {
            len_bytes(content) == chunk.addresses.len().get()
                && content.iter().all(|&byte| byte == 0)
        }
        ChunkContent::Sha256(sum) => sha256(content) == sum,
    }
}
