// SPDX-License-Identifier: MIT OR Apache-2.0
//! The blocks of an AVML image: finding and decompressing them.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 32 | header of a record, see `records.rs` |
//! | 32 | n | memory, compressed in Snappy's framing format |
//! | 32 + n | 8 | n |
//!
//! The length of a block follows the block, so the file is walked from its end to
//! its beginning. If no block ends where the file ends, it was cut off, and is walked from
//! its beginning, chunk by chunk of Snappy's format.

use super::forward;
use crate::ReadAt;
use crate::records::{Error, HEADER_BYTES, RecordHeader, header_at};
use linpmem_phys::num::{u64_as_usize, usize_as_u64};
use linpmem_phys::{PhysLen, PhysRange};
use std::io::Read;

/// A block; it is within the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) range: PhysRange,
    pub(super) content: BlockContent,
}

/// What is in a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BlockContent {
    /// Nothing: AVML 0.16 and 0.17 write the header of a zero block and no more.
    Zero,
    /// Compressed memory.
    Snappy {
        /// Where it begins, in bytes from the start of the file.
        offset: u64,
        /// Its size; at most [`max_compressed_bytes`].
        bytes: usize,
        /// Whether it continued beyond the end of the file.
        is_cut: bool,
    },
}

/// Size of the length after a block.
pub(super) const TRAILER_BYTES: u64 = 8;

/// The most memory that a block may hold: four times what AVML puts into one. A
/// block is decompressed as a whole.
pub(super) const MAX_BLOCK_BYTES: u64 = 64 << 20;

/// The most blocks to accept.
const MAX_BLOCKS: usize = 1 << 21;

/// What a file consists of.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    /// In file order.
    pub(super) blocks: Vec<Block>,
    /// How many have reserved bytes that are not 0.
    pub(super) reserved_used: u64,
    /// Whether the file ends within a block.
    pub(super) is_cut: bool,
}

impl Blocks {
    pub(super) fn read(source: &impl ReadAt) -> Result<Self, Error> {
        match Self::backward(source) {
            // If the walk from the beginning does not end at the end of the file, the
            // file was not cut off.
            Err(error @ Error::Record { .. }) => forward::blocks(source).map_err(|e| {
                eprintln!("{e}");
                error
            }),
            read => read,
        }
    }

    /// Adds a block with this header.
    pub(super) fn push(
        &mut self,
        header: &RecordHeader,
        content: BlockContent,
    ) -> Result<(), Error> {
        if self.blocks.len() == MAX_BLOCKS {
            return Err(Error::TooManyRecords { limit: MAX_BLOCKS });
        }
        self.reserved_used += u64::from(!header.reserved_is_zero);
        self.blocks.push(Block {
            range: header.range,
            content,
        });
        Ok(())
    }

    /// Walks from the end to the beginning.
    fn backward(source: &impl ReadAt) -> Result<Self, Error> {
        let header_bytes = usize_as_u64(HEADER_BYTES);
        let mut found = Self::default();
        let mut end = source.len();
        // The header of the block that begins at `end`.
        let mut next: Option<RecordHeader> = None;
        while end > 0 {
            let lost = Error::Record {
                offset: end,
                what: "no AVML block ends before it; the file is truncated, or something was \
                       appended to it",
            };
            if let Some((header, data)) = ending_at(source, end)? {
                let offset = data - header_bytes;
                check_size(offset, &header, end - TRAILER_BYTES - data)?;
                let content = BlockContent::Snappy {
                    offset: data,
                    bytes: u64_as_usize(end - TRAILER_BYTES - data),
                    is_cut: false,
                };
                found.push(&header, content)?;
                (end, next) = (offset, Some(header));
                continue;
            }
            let Some(offset) = end.checked_sub(header_bytes) else {
                return Err(lost);
            };
            match (header_at(source, offset)?, next) {
                (Some(header), Some(after)) if header.is_followed_by(&after) => {
                    found.push(&header, BlockContent::Zero)?;
                    (end, next) = (offset, Some(header));
                }
                _ => return Err(lost),
            }
        }
        found.blocks.reverse();
        Ok(found)
    }
}

/// The block that ends at `end`, by the length before that: its header and where its
/// compressed memory begins.
fn ending_at(source: &impl ReadAt, end: u64) -> Result<Option<(RecordHeader, u64)>, Error> {
    let Some(trailer) = end.checked_sub(TRAILER_BYTES) else {
        return Ok(None);
    };
    let mut encoded = [0; 8];
    source
        .read_exact_at(trailer, &mut encoded)
        .map_err(|source| Error::Io {
            offset: trailer,
            source,
        })?;
    let compressed = u64::from_le_bytes(encoded);
    // Not even a page of zeros takes no bytes.
    let data = trailer.checked_sub(compressed).filter(|_| compressed > 0);
    let header = data.and_then(|data| data.checked_sub(usize_as_u64(HEADER_BYTES)));
    let Some((data, offset)) = data.zip(header) else {
        return Ok(None);
    };
    let Some(header) = header_at(source, offset)? else {
        return Ok(None);
    };
    if !header.is_compressed {
        return Err(Error::Record {
            offset,
            what: "it is a LiME record, but the records after it are AVML's",
        });
    }
    Ok(Some((header, data)))
}

/// Checks the sizes of the block at `offset`, whose memory takes `compressed` bytes.
pub(super) fn check_size(offset: u64, header: &RecordHeader, compressed: u64) -> Result<(), Error> {
    let len = header.range.len().get();
    if len <= MAX_BLOCK_BYTES && compressed <= max_compressed_bytes(len) {
        return Ok(());
    }
    let what = "it is far larger than AVML's blocks of 16 MiB";
    Err(Error::Record { offset, what })
}

/// The most bytes that `len` bytes of memory, at most [`MAX_BLOCK_BYTES`], take in
/// Snappy's framing format: an identifier, and 8 bytes per 64 KiB; with some allowance
/// for padding, which may follow any frame.
const fn max_compressed_bytes(len: u64) -> u64 {
    len + len / 64 + (1 << 16)
}

impl Block {
    /// The memory of the block; `None` if it is damaged or cannot be read.
    pub(super) fn decompress(&self, source: &impl ReadAt) -> Option<Vec<u8>> {
        let mut data = vec![0; u64_as_usize(self.range.len().get())];
        let BlockContent::Snappy {
            offset,
            bytes,
            is_cut,
        } = self.content
        else {
            return Some(data);
        };
        let mut compressed = vec![0; bytes];
        source.read_exact_at(offset, &mut compressed).ok()?;
        let mut decoder = snap::read::FrameDecoder::new(compressed.as_slice());
        decoder.read_exact(&mut data).ok()?;
        // The block must not hold more than its header says.
        (is_cut || matches!(decoder.read(&mut [0]), Ok(0))).then_some(data)
    }

    /// Reduces a block that continued beyond the end of the file to what is left of it,
    /// and returns what it lacks.
    pub(super) fn reduce(&mut self, source: &impl ReadAt) -> (Option<Self>, Option<PhysRange>) {
        let there = match self.content {
            BlockContent::Snappy {
                offset,
                bytes,
                is_cut: true,
            } => decodable(source, offset, bytes, self.range.len().get()),
            _ => return (Some(*self), None),
        };
        let border = self.range.start().checked_add(PhysLen::new(there));
        let (present, missing) = match border {
            Some(border) => self.range.split_at(border),
            None => (None, Some(self.range)),
        };
        let present = present.map(|range| Self { range, ..*self });
        (present, missing)
    }
}

/// How many of `most` bytes the beginning of a Snappy stream gives.
fn decodable(source: &impl ReadAt, offset: u64, bytes: usize, most: u64) -> u64 {
    let mut compressed = vec![0; bytes];
    if source.read_exact_at(offset, &mut compressed).is_err() {
        return 0;
    }
    let mut decoder = snap::read::FrameDecoder::new(compressed.as_slice());
    let mut piece = vec![0; 64 << 10];
    let mut there: u64 = 0;
    while there < most {
        match decoder.read(&mut piece) {
            Ok(0) | Err(_) => break,
            Ok(read) => there += usize_as_u64(read),
        }
    }
    there.min(most)
}
