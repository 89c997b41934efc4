// SPDX-License-Identifier: MIT OR Apache-2.0
//! The bitmap of the pages that a dump holds, which is known only when they have been
//! read.

use super::{BITMAP_BYTES, flattened};
use crate::{ImageOutput, WriteError};
use linpmem_phys::num::{u64_as_usize, usize_as_u64};

/// The bitmap of dumped pages. It is written bit by bit as far as it is settled, so that
/// what is left of an interrupted dump says which pages it holds. Bits are set in
/// ascending order.
#[derive(Debug)]
pub(super) struct DumpedBitmap {
    /// Where it begins in the dump, in bytes.
    offset: u64,
    /// Its size in bytes.
    len: u64,
    /// How many bytes of it were written.
    written: u64,
    /// How many of those were not in gaps between ranges.
    held: u64,
    /// The bytes after those, as far as a bit is set in them.
    pending: Vec<u8>,
}

/// Settled bytes that are worth a record of the flattened stream: those of a chunk at
/// first, and a small part of what was written later, since readers limit the number of
/// records.
const RECORD_BYTES: [u64; 2] = [32, 4096];
const SHARE: u64 = 64;

/// A gap between ranges that is worth a record of its own.
const GAP_BYTES: u64 = 256;

const BEYOND: WriteError = WriteError::Misuse("a page is beyond the dump's bitmap");

impl DumpedBitmap {
    /// A bitmap of `len` bytes, a multiple of [`BITMAP_BYTES`].
    pub(super) fn new(offset: u64, len: u64) -> Self {
        Self {
            offset,
            len,
            written: 0,
            held: 0,
            pending: Vec::new(),
        }
    }

    /// Sets the bit of `page`.
    ///
    /// # Errors
    /// If the output failed, or `page` is below one that was set before, or beyond the
    /// bitmap.
    pub(super) fn set(
        &mut self,
        page: u64,
        stream: flattened::Writer,
        out: &mut dyn ImageOutput,
    ) -> Result<(), WriteError> {
        let byte = page / 8;
        if byte >= self.len {
            return Err(BEYOND);
        }
        let index = match byte.checked_sub(self.written) {
            Some(index) if index <= GAP_BYTES + usize_as_u64(self.pending.len()) => index,
            Some(_) => {
                // A gap between ranges.
                self.write(stream, out)?;
                let gap = byte - self.written;
                stream.zeros(self.offset + self.written, gap, out)?;
                self.written = byte;
                0
            }
            None => return Err(WriteError::Misuse("pages were not set in ascending order")),
        };
        let index = u64_as_usize(index);
        if self.pending.len() <= index {
            self.pending.resize(index + 1, 0);
        }
        let byte = self.pending.get_mut(index).ok_or(BEYOND)?;
        *byte |= 1 << (page % 8);
        Ok(())
    }

    /// No page below `page` will be set any more: writes what is settled by that, if it is
    /// enough.
    ///
    /// # Errors
    /// If the output failed.
    pub(super) fn settle(
        &mut self,
        page: u64,
        stream: flattened::Writer,
        out: &mut dyn ImageOutput,
    ) -> Result<(), WriteError> {
        let settled = (page / 8).min(self.len);
        let Some(bytes) = settled.checked_sub(self.written) else {
            return Ok(());
        };
        let [least, most] = RECORD_BYTES;
        if bytes < (self.held / SHARE).clamp(least, most) {
            return Ok(());
        }
        let bytes = u64_as_usize(bytes);
        if self.pending.len() < bytes {
            self.pending.resize(bytes, 0);
        }
        let rest = self.pending.split_off(bytes);
        self.write(stream, out)?;
        self.pending = rest;
        Ok(())
    }

    /// Writes the rest of the bitmap.
    ///
    /// # Errors
    /// If the output failed.
    pub(super) fn finish(
        &mut self,
        stream: flattened::Writer,
        out: &mut dyn ImageOutput,
    ) -> Result<(), WriteError> {
        let end = self.written + usize_as_u64(self.pending.len());
        let piece = end
            .next_multiple_of(usize_as_u64(BITMAP_BYTES))
            .min(self.len);
        self.pending.resize(u64_as_usize(piece - self.written), 0);
        self.write(stream, out)?;
        stream.zeros(self.offset + self.written, self.len - self.written, out)?;
        self.written = self.len;
        Ok(())
    }

    fn write(
        &mut self,
        stream: flattened::Writer,
        out: &mut dyn ImageOutput,
    ) -> Result<(), WriteError> {
        // A dump ends far below 2^64 bytes.
        stream.bytes(self.offset + self.written, &self.pending, out)?;
        let bytes = usize_as_u64(self.pending.len());
        self.written += bytes;
        self.held += bytes;
        self.pending.clear();
        Ok(())
    }
}
