// SPDX-License-Identifier: MIT OR Apache-2.0
//! The chunks of a manifest.

use crate::sequence::border;
use crate::{ChunkRecord, FrameRecord, ReadError, ReadSpan, Reader, Record, Sha256Sum};
use linpmem_phys::{PhysAddr, PhysRange};
use std::io::BufRead;

/// A chunk of memory in an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageChunk {
    /// Its addresses.
    pub addresses: PhysRange,
    /// Its bytes.
    pub content: ChunkContent,
    /// When it was read. If it was one of several zero chunks: when they were.
    pub read: ReadSpan,
    /// Where its compressed bytes are in the output file, if the image is compressed.
    pub frame: Option<FrameRecord>,
}

/// What a manifest says about a chunk's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChunkContent {
    /// All of them are zero.
    Zero,
    /// Their SHA-256.
    Sha256(Sha256Sum),
}

/// A chunk, as it is read from a manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListedChunk {
    /// The number of its line, from 1.
    pub line: u64,
    /// The number of its range, from 0.
    pub range: u64,
    /// Its number in the range, from 0.
    pub number: u64,
    /// The chunk.
    pub chunk: ImageChunk,
}

/// The chunks of a manifest one by one, including those that share a line. It keeps only
/// one line in memory, however many chunks there are.
#[derive(Debug)]
pub struct Chunks<R> {
    reader: Reader<R>,
    zeros: Option<Zeros>,
}

/// The rest of a line of zero chunks.
#[derive(Clone, Copy, Debug)]
struct Zeros {
    next: ListedChunk,
    /// Where the last of them ends.
    end: PhysAddr,
}

impl<R: BufRead> Chunks<R> {
    /// The remaining chunks of `reader`.
    pub const fn new(reader: Reader<R>) -> Self {
        Self {
            reader,
            zeros: None,
        }
    }

    /// The chunk with `content`, `read` and `frame` of the latest line, but with the
    /// addresses of all chunks on the line.
    fn listed(
        &self,
        content: ChunkContent,
        read: ReadSpan,
        frame: Option<FrameRecord>,
    ) -> Option<ListedChunk> {
        let range = self.reader.sequence().range()?;
        let latest = range.latest?;
        Some(ListedChunk {
            line: self.reader.line_number(),
            range: range.index,
            number: latest.number,
            chunk: ImageChunk {
                addresses: latest.addresses,
                content,
                read,
                frame,
            },
        })
    }

    /// The first chunk of `zeros`; keeps the others for later.
    fn split(&mut self, zeros: Zeros) -> Option<ListedChunk> {
        let mut first = zeros.next;
        let start = first.chunk.addresses.start();
        let step = self.reader.sequence().chunk_bytes();
        let first_end = border(start, 1, step).map_or(zeros.end, |end| end.min(zeros.end));
        first.chunk.addresses = PhysRange::new(start, first_end).ok()?;
        self.zeros = PhysRange::new(first_end, zeros.end).ok().map(|rest| Zeros {
            next: ListedChunk {
                number: first.number + 1,
                chunk: ImageChunk {
                    addresses: rest,
                    frame: first.chunk.frame.and_then(FrameRecord::next),
                    ..first.chunk
                },
                ..first
            },
            end: zeros.end,
        });
        Some(first)
    }
}

impl<R: BufRead> Iterator for Chunks<R> {
    type Item = Result<ListedChunk, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(zeros) = self.zeros.take() {
            return self.split(zeros).map(Ok);
        }
        loop {
            match self.reader.next()? {
                Ok(Record::Chunk(ChunkRecord {
                    sha256,
                    read,
                    frame,
                })) => {
                    return self
                        .listed(ChunkContent::Sha256(sha256), read, frame)
                        .map(Ok);
                }
                Ok(Record::ZeroChunks(zeros)) => {
                    let next = self.listed(ChunkContent::Zero, zeros.read_us, zeros.frame)?;
                    let end = next.chunk.addresses.end();
                    return self.split(Zeros { next, end }).map(Ok);
                }
                Ok(_) => {}
                Err(error) => return Some(Err(error)),
            }
        }
    }
}
