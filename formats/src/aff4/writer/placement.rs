// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where each block of memory goes: into the stream, or only into the map.

use super::{OTHER_ENCODER, Writer};
use crate::aff4::encoder::{BLOCK, BLOCK_BYTES, Block, offset_in_block, parts};
use crate::aff4::map::Target;
use crate::aff4::zip::Name;
use crate::{Chunk, ImageOutput, WriteError};
use bytes::Bytes;
use linpmem_phys::Unreadable;
use linpmem_phys::num::usize_as_u64;

/// Addresses that hold zeros.
#[derive(Clone, Copy, Debug)]
pub(super) struct Zeros {
    start: u64,
    end: u64,
}

/// The number of records up to which the stream omits every zero block.
const FREE_RECORDS: usize = 32 << 10;
/// Above that, the shortest run of zeros that the stream omits doubles with this many
/// more records, so that the map of fragmented memory stays small.
const RECORDS_PER_DOUBLING: usize = 4 << 10;
/// The most doublings: runs of 32 GiB are always omitted.
const MAX_DOUBLINGS: usize = 20;

impl Writer {
    /// Maps the hole before the chunk as zeros, and then the chunk, whose `blocks` are in
    /// `encoded`.
    pub(super) fn place(
        &mut self,
        chunk: &Chunk<'_>,
        encoded: &Bytes,
        blocks: &mut dyn Iterator<Item = Block<'_>>,
        out: &mut dyn ImageOutput,
    ) -> Result<(), WriteError> {
        let hole = self.hole_before(chunk)?;
        if hole > 0 {
            self.settle_zeros(out)?;
            self.map.push(self.next, hole, Target::Zero, self.next);
        }
        let mut addr = chunk.start.get();
        let mut unreadable = chunk.unreadable;
        for (_, part) in parts(chunk.start, &chunk.data) {
            let block = blocks.next().ok_or(OTHER_ENCODER)?;
            // The chunk is within a range.
            let end = addr + usize_as_u64(part.len());
            // An unreadable range that continues after this block is kept for the next.
            while let Some((first, rest)) = unreadable.split_first() {
                if first.range.end().get() > addr {
                    break;
                }
                unreadable = rest;
            }
            self.place_block((addr, end), (block, encoded), unreadable, out)?;
            addr = end;
        }
        self.next = addr;
        // The buffer of `encoded` is wanted for other chunks.
        self.stream.write_pending(out)
    }

    fn place_block(
        &mut self,
        (start, end): (u64, u64),
        (block, encoded): (Block<'_>, &Bytes),
        unreadable: &[Unreadable],
        out: &mut dyn ImageOutput,
    ) -> Result<(), WriteError> {
        // Where the stream holds the memory at `start`, if it does.
        let mut base = None;
        let mut is_full = false;
        if let Block::Data {
            digests,
            crc,
            stored,
        } = block
        {
            self.settle_zeros(out)?;
            let within = usize_as_u64(offset_in_block(start));
            base = Some(self.stream.next_offset() + within);
            let block = (digests, crc, stored);
            is_full = self.stream.push(block, encoded, &mut self.zip, out)?;
        }
        let mut next = start;
        for item in unreadable {
            let from = item.range.start().get().clamp(next, end);
            let to = item.range.end().get().clamp(from, end);
            self.place_readable(start, next, from, base);
            if to > from {
                self.settle_zeros(out)?;
                self.map.push(from, to - from, Target::Unreadable, from);
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

    /// Maps the addresses `from` to `to` of the block whose memory begins at `start`. `base`
    /// is where the stream holds the memory at `start`; without it, the block is zero.
    fn place_readable(&mut self, start: u64, from: u64, to: u64, base: Option<u64>) {
        if from >= to {
            return;
        }
        if let Some(base) = base {
            let offset = base + (from - start);
            self.map.push(from, to - from, Target::Stream, offset);
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

    /// Maps the pending zeros: as zeros, or as blocks of the stream if they are few and the
    /// map is long already.
    pub(super) fn settle_zeros(&mut self, out: &mut dyn ImageOutput) -> Result<(), WriteError> {
        let Some(zeros) = self.zeros.take() else {
            return Ok(());
        };
        let len = zeros.end - zeros.start;
        let shortest = match self.map.len().checked_sub(FREE_RECORDS) {
            None | Some(0) => 0,
            Some(beyond) => {
                let doublings = beyond.div_ceil(RECORDS_PER_DOUBLING).min(MAX_DOUBLINGS);
                u64::from(BLOCK_BYTES) << doublings
            }
        };
        if len >= shortest || self.map.ends_in_zeros() {
            self.map.push(zeros.start, len, Target::Zero, zeros.start);
            return Ok(());
        }
        if self.zero_block.is_empty() {
            self.zero_block = self.encoder.zero_block().into();
        }
        let zero_block = self.zero_block.clone();
        self.place_zero_blocks(&zero_block, zeros, out)
    }

    fn place_zero_blocks(
        &mut self,
        encoded: &Bytes,
        zeros: Zeros,
        out: &mut dyn ImageOutput,
    ) -> Result<(), WriteError> {
        let mut start = zeros.start;
        while start < zeros.end {
            let left = usize_as_u64(BLOCK - offset_in_block(start));
            let end = zeros.end.min(start + left);
            let block = self
                .encoder
                .decode(encoded)
                .and_then(|mut blocks| blocks.next());
            let Some(block @ Block::Data { .. }) = block else {
                return Err(WriteError::Misuse("a block of zeros was not encoded"));
            };
            self.place_block((start, end), (block, encoded), &[], out)?;
            start = end;
        }
        Ok(())
    }

    /// Writes the full segment, and the records of the map for it.
    pub(super) fn flush(&mut self, out: &mut dyn ImageOutput) -> Result<(), WriteError> {
        let number = self.stream.segments();
        self.stream.flush(&mut self.zip, out)?;
        let journal = self.map.journal();
        self.zip
            .member(Name::Numbered(self.journal, number), &journal, out)
    }
}
