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
//! its beginning.

use crate::ReadAt;
use crate::records::{Error, HEADER_BYTES, RecordHeader};
use linpmem_phys::PhysRange;
use linpmem_phys::num::{u64_as_usize, usize_as_u64};
use std::io::Read;

/// A block; it lies within the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) range: PhysRange,
    /// Where its compressed memory begins, in bytes from the start of the file.
    offset: u64,
    /// Size of its compressed memory; at most [`max_compressed_bytes`].
    compressed_bytes: usize,
}

/// Size of the length after a block.
pub(super) const TRAILER_BYTES: u64 = 8;

/// The most memory that a block may hold: four times what AVML puts into one. A
/// block is decompressed as a whole.
pub(super) const MAX_BLOCK_BYTES: u64 = 64 << 20;

/// The most blocks to accept.
const MAX_BLOCKS: usize = 1 << 21;

/// All blocks in file order, and how many have reserved bytes that are not 0.
pub(super) fn blocks(source: &impl ReadAt) -> Result<(Vec<Block>, u64), Error> {
    let header_bytes = usize_as_u64(HEADER_BYTES);
    let mut blocks = Vec::new();
    let mut reserved_used: u64 = 0;
    let mut end = source.len();
    while end > 0 {
        let lost = |offset| Error::Record {
            offset,
            what: "no AVML block ends before it; the file is truncated, or something was \
                   appended to it",
        };
        let trailer = end.checked_sub(TRAILER_BYTES).ok_or(lost(end))?;
        let mut encoded = [0; 8];
        source
            .read_exact_at(trailer, &mut encoded)
            .map_err(|source| Error::Io {
                offset: trailer,
                source,
            })?;
        let compressed = u64::from_le_bytes(encoded);
        let data = trailer.checked_sub(compressed).ok_or(lost(end))?;
        let offset = data.checked_sub(header_bytes).ok_or(lost(end))?;
        let mut encoded = [0; HEADER_BYTES];
        source
            .read_exact_at(offset, &mut encoded)
            .map_err(|source| Error::Io { offset, source })?;
        let header = RecordHeader::parse(&encoded).map_err(|_| lost(end))?;
        let damaged = |what| Error::Record { offset, what };
        if !header.is_compressed {
            return Err(damaged(
                "it is a LiME record, but the records after it are AVML's",
            ));
        }
        let len = header.range.len().get();
        if len > MAX_BLOCK_BYTES || compressed > max_compressed_bytes(len) {
            return Err(damaged("it is far larger than AVML's blocks of 16 MiB"));
        }
        if blocks.len() == MAX_BLOCKS {
            return Err(Error::TooManyRecords { limit: MAX_BLOCKS });
        }
        reserved_used += u64::from(!header.reserved_is_zero);
        blocks.push(Block {
            range: header.range,
            offset: data,
            compressed_bytes: u64_as_usize(compressed),
        });
        end = offset;
    }
    blocks.reverse();
    Ok((blocks, reserved_used))
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
        let mut compressed = vec![0; self.compressed_bytes];
        source.read_exact_at(self.offset, &mut compressed).ok()?;
        let mut data = vec![0; u64_as_usize(self.range.len().get())];
        let mut decoder = snap::read::FrameDecoder::new(compressed.as_slice());
        decoder.read_exact(&mut data).ok()?;
        // The block must not hold more than its header says.
        matches!(decoder.read(&mut [0]), Ok(0)).then_some(data)
    }
}
