// SPDX-License-Identifier: MIT OR Apache-2.0
//! A bitmap of pages on its way out, block by block.

use super::BLOCK_BYTES;
use super::stream::Stream;
use crate::{ImageOutput, WriteError};

/// A bit a page; page 0 is the lowest bit of the first byte. Bits are set in
/// ascending order.
#[derive(Debug)]
pub(super) struct Bitmap {
    /// Where it begins in the dump.
    offset: u64,
    blocks: u64,
    /// The block that is being filled.
    current: u64,
    block: [u8; BLOCK_BYTES],
}

/// Pages that a block tells of.
const BLOCK_PAGES: u64 = 8 * 4096;

impl Bitmap {
    pub(super) const fn new(offset: u64, blocks: u64) -> Self {
        Self {
            offset,
            blocks,
            current: 0,
            block: [0; BLOCK_BYTES],
        }
    }

    /// Sets the bit of `page`, and writes the blocks that end before it.
    pub(super) fn set(
        &mut self,
        page: u64,
        stream: Stream,
        out: &mut dyn ImageOutput,
    ) -> Result<(), WriteError> {
        let block = page / BLOCK_PAGES;
        if block != self.current {
            self.pass(block, stream, out)?;
        }
        let byte = usize::try_from(page % BLOCK_PAGES / 8).unwrap_or(usize::MAX);
        if let Some(byte) = self.block.get_mut(byte) {
            *byte |= 1 << (page % 8);
        }
        Ok(())
    }

    /// Writes what is left.
    pub(super) fn finish(
        &mut self,
        stream: Stream,
        out: &mut dyn ImageOutput,
    ) -> Result<(), WriteError> {
        self.pass(self.blocks, stream, out)
    }

    /// Writes the current block and those up to `next`, which have no bit set.
    fn pass(
        &mut self,
        next: u64,
        stream: Stream,
        out: &mut dyn ImageOutput,
    ) -> Result<(), WriteError> {
        let place = |block: u64| self.offset.saturating_add(block.saturating_mul(4096));
        stream.bytes(place(self.current), &self.block, out)?;
        let after = self.current.saturating_add(1);
        let empty = next.saturating_sub(after).saturating_mul(4096);
        stream.zeros(place(after), empty, out)?;
        self.block.fill(0);
        self.current = next;
        Ok(())
    }
}
