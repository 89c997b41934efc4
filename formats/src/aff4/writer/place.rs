// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where each block of memory goes: into the stream, or into the map alone.

use super::Writer;
use crate::aff4::encoder::{BLOCK, BLOCK_BYTES, Block, offset_in_block, parts};
use crate::aff4::map::Target;
use crate::{Chunk, ImageOutput, WriteError};
use linpmem_phys::Unreadable;

/// Addresses that hold zeros.
#[derive(Clone, Copy, Debug)]
pub(super) struct Zeros {
    start: u64,
    end: u64,
}

/// Records of a map up to which every zero block is left out.
const FREE_RECORDS: usize = 32 << 10;
/// From there on, the shortest run that is left out doubles with this many more,
/// so that the map of a fragmented memory stays small, however large that is.
const RECORDS_PER_DOUBLING: usize = 4 << 10;
impl Writer {
    /// Maps what lies below the chunk as zeros, and what the chunk holds.
    pub(super) fn place(
        &mut self,
        chunk: &Chunk<'_>,
        blocks: &mut dyn Iterator<Item = Block<'_>>,
        out: &mut dyn ImageOutput,
    ) -> Result<(), WriteError> {
        let start = chunk.start.get();
        if start > self.next {
            self.settle_zeros(out)?;
            let hole = start.saturating_sub(self.next);
            self.map.push(self.next, hole, Target::Zero, self.next);
        }
        let mut addr = start;
        let mut unreadable = chunk.unreadable;
        for (_, part) in parts(chunk.start, &chunk.data) {
            let len = u64::try_from(part.len()).unwrap_or(u64::MAX);
            let block = blocks
                .next()
                .ok_or(WriteError::Misuse("a chunk was encoded by something else"))?;
            let end = addr.saturating_add(len);
            // Those that this block ends before are the next block's as well.
            while let Some((first, rest)) = unreadable.split_first() {
                if first.range.end().get() > addr {
                    break;
                }
                unreadable = rest;
            }
            self.place_block(addr, end, block, unreadable, out)?;
            addr = end;
        }
        self.next = addr;
        Ok(())
    }

    fn place_block(
        &mut self,
        start: u64,
        end: u64,
        block: Block<'_>,
        unreadable: &[Unreadable],
        out: &mut dyn ImageOutput,
    ) -> Result<(), WriteError> {
        // Where in the stream the address 0 of this block's memory would be.
        let mut base = None;
        let mut is_full = false;
        if let Block::Data { digests, bytes } = block {
            self.settle_zeros(out)?;
            let within = u64::try_from(offset_in_block(start)).unwrap_or(0);
            base = Some(self.stream.next_offset().saturating_add(within));
            is_full = self.stream.push(digests, bytes);
        }
        let mut next = start;
        for item in unreadable {
            let from = item.range.start().get().clamp(next, end);
            let to = item.range.end().get().clamp(from, end);
            self.place_readable(start, next, from, base);
            if to > from {
                self.settle_zeros(out)?;
                self.map
                    .push(from, to.saturating_sub(from), Target::Unreadable, from);
            }
            next = to;
            if next == end {
                break;
            }
        }
        self.place_readable(start, next, end, base);
        if is_full {
            self.flush(out)?;
        }
        Ok(())
    }

    /// Maps from `from` to `to` of the block that begins at `start`, to the stream
    /// if the block is there.
    fn place_readable(&mut self, start: u64, from: u64, to: u64, base: Option<u64>) {
        if from >= to {
            return;
        }
        if let Some(base) = base {
            let offset = base.saturating_add(from.saturating_sub(start));
            self.map
                .push(from, to.saturating_sub(from), Target::Stream, offset);
            return;
        }
        match &mut self.zeros {
            Some(zeros) if zeros.end == from => zeros.end = to,
            zeros => {
                *zeros = Some(Zeros {
                    start: from,
                    end: to,
                })
            }
        }
    }

    /// Maps the pending zeros: as such, or as blocks, if the map is long already
    /// and they are few.
    pub(super) fn settle_zeros(&mut self, out: &mut dyn ImageOutput) -> Result<(), WriteError> {
        let Some(zeros) = self.zeros.take() else {
            return Ok(());
        };
        let len = zeros.end.saturating_sub(zeros.start);
        let beyond = self.map.len().saturating_sub(FREE_RECORDS);
        let doublings = u32::try_from(beyond.div_ceil(RECORDS_PER_DOUBLING)).unwrap_or(u32::MAX);
        let shortest = match doublings {
            0 => 0,
            _ => u64::from(BLOCK_BYTES)
                .checked_shl(doublings.min(20))
                .unwrap_or(u64::MAX),
        };
        if len >= shortest || self.map.ends_in_zeros() {
            self.map.push(zeros.start, len, Target::Zero, zeros.start);
            return Ok(());
        }
        if self.zero_block.is_empty() {
            let mut encoded = Vec::new();
            self.encoder.encode_block(&[0; BLOCK], &mut encoded);
            self.zero_block = encoded;
        }
        let zero_block = std::mem::take(&mut self.zero_block);
        let placed = self.place_zero_blocks(&zero_block, zeros, out);
        self.zero_block = zero_block;
        placed
    }

    fn place_zero_blocks(
        &mut self,
        encoded: &[u8],
        zeros: Zeros,
        out: &mut dyn ImageOutput,
    ) -> Result<(), WriteError> {
        let mut start = zeros.start;
        while start < zeros.end {
            let within = u64::try_from(offset_in_block(start)).unwrap_or(0);
            let left = u64::from(BLOCK_BYTES).saturating_sub(within);
            let end = start.saturating_add(left).min(zeros.end);
            let block = self.encoder.blocks(encoded).next();
            let Some(block @ Block::Data { .. }) = block else {
                return Err(WriteError::Misuse("a block of zeros was not encoded"));
            };
            self.place_block(start, end, block, &[], out)?;
            start = end;
        }
        Ok(())
    }

    /// Writes the full segment, and what the map has of it.
    pub(super) fn flush(&mut self, out: &mut dyn ImageOutput) -> Result<(), WriteError> {
        let number = self.stream.segments();
        self.stream.flush(&mut self.zip, out)?;
        let name = self.options.urns.map.join(&format!("journal/{number:08}"));
        let name = self.member(name.as_str());
        let journal = self.map.journal();
        self.zip.member(&name, &[&journal], out)
    }
}
