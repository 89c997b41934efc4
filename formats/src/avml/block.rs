// SPDX-License-Identifier: MIT OR Apache-2.0
//! The blocks of an image: where they are, and what is in them.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 32 | header, as LiME's, see `lime/layout.rs` |
//! | 32 | n | memory in Snappy's framing format |
//! | 32 + n | 8 | n |
//!
//! How long a block is stands only behind it, so the way through the file goes
//! from its end to its beginning.

use crate::ReadAt;
use crate::records::{Error, HEADER_BYTES, RecordHeader};
use linpmem_phys::PhysRange;
use std::io::Read;

/// A block that lies within the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) range: PhysRange,
    /// Where its compressed memory begins.
    offset: u64,
    /// Bytes of it; not more than [`most_bytes`].
    compressed_bytes: usize,
}

/// Bytes of the number behind a block.
pub(super) const TRAILER_BYTES: u64 = 8;

/// The most memory that a block is believed to hold: four times what AVML puts
/// into one. A block is decompressed as a whole.
pub(super) const MAX_BLOCK_BYTES: u64 = 64 << 20;

/// The most blocks that are believed.
const MAX_BLOCKS: usize = 1 << 21;

/// All blocks of the file, in its order, and how many have bytes set that should
/// be 0.
pub(super) fn blocks(source: &impl ReadAt) -> Result<(Vec<Block>, u64), Error> {
    let header_bytes = u64::try_from(HEADER_BYTES).unwrap_or(u64::MAX);
    let mut blocks = Vec::new();
    let mut untidy: u64 = 0;
    let mut end = source.len();
    while end > 0 {
        let lost = |offset| Error::Record {
            offset,
            what: "no length of a compressed block stands before it; the file is truncated, or \
                   something was appended to it",
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
            return Err(damaged("it is not compressed, but those behind it are"));
        }
        let len = header.range.len().get();
        if len > MAX_BLOCK_BYTES || compressed > most_bytes(len) {
            return Err(damaged("it is far longer than the 16 MiB of AVML's blocks"));
        }
        if blocks.len() == MAX_BLOCKS {
            return Err(Error::TooManyRecords { limit: MAX_BLOCKS });
        }
        untidy = untidy.saturating_add(u64::from(!header.reserved_is_zero));
        blocks.push(Block {
            range: header.range,
            offset: data,
            compressed_bytes: usize::try_from(compressed).unwrap_or(0),
        });
        end = offset;
    }
    blocks.reverse();
    Ok((blocks, untidy))
}

/// The most bytes that so much memory can take in Snappy's framing format: an
/// identifier, and 8 bytes for every 64 KiB; some more, as any frame may be
/// followed by padding.
const fn most_bytes(len: u64) -> u64 {
    len.saturating_add(len / 64).saturating_add(1 << 16)
}

impl Block {
    /// Its memory; `None` if it is damaged.
    pub(super) fn decompress(&self, source: &impl ReadAt) -> Option<Vec<u8>> {
        let mut compressed = vec![0; self.compressed_bytes];
        source.read_exact_at(self.offset, &mut compressed).ok()?;
        let mut data = vec![0; usize::try_from(self.range.len().get()).ok()?];
        let mut decoder = snap::read::FrameDecoder::new(compressed.as_slice());
        decoder.read_exact(&mut data).ok()?;
        // What is left over belongs to another block than the header says.
        matches!(decoder.read(&mut [0]), Ok(0)).then_some(data)
    }
}
