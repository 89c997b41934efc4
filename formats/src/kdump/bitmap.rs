// SPDX-License-Identifier: MIT OR Apache-2.0
//! The bitmaps of a dump: one bit per page. Page 0 is the lowest bit of the first
//! byte.

use super::block::Block;
use super::flattened;
use super::header::Headers;
use super::{BITMAP_BYTES, Error};
use crate::{Account, ImageOutput, ReadAt, StoredRange, WriteError};
use linpmem_phys::num::{u64_as_usize, usize_as_u64};
use linpmem_phys::{Content, PhysRange, SkipReason};

/// A bitmap that is written piece by piece. Bits are set in ascending order.
#[derive(Debug)]
pub(super) struct Bitmap {
    /// Where it begins in the dump, in bytes.
    offset: u64,
    pieces: u64,
    /// The index of the piece that is being filled.
    current: u64,
    piece: [u8; BITMAP_BYTES],
}

/// Pages per piece.
const PIECE_PAGES: u64 = 8 * PIECE_BYTES;

const PIECE_BYTES: u64 = usize_as_u64(BITMAP_BYTES);

impl Bitmap {
    /// A bitmap of `len` bytes, a multiple of [`BITMAP_BYTES`].
    pub(super) const fn new(offset: u64, len: u64) -> Self {
        Self {
            offset,
            pieces: len / PIECE_BYTES,
            current: 0,
            piece: [0; BITMAP_BYTES],
        }
    }

    /// Sets the bit of `page` and writes the pieces that end before it.
    ///
    /// # Errors
    /// If the output failed, or `page` is below one that was set before, or beyond
    /// the bitmap.
    pub(super) fn set(
        &mut self,
        page: u64,
        stream: flattened::Writer,
        out: &mut dyn ImageOutput,
    ) -> Result<(), WriteError> {
        let piece = page / PIECE_PAGES;
        if piece != self.current {
            self.pass(piece, stream, out)?;
        }
        let byte = self
            .piece
            .get_mut(u64_as_usize(page % PIECE_PAGES / 8))
            .filter(|_| piece < self.pieces)
            .ok_or(WriteError::Misuse("a page is beyond the dump's bitmap"))?;
        *byte |= 1 << (page % 8);
        Ok(())
    }

    /// Writes the rest of the bitmap.
    pub(super) fn finish(
        &mut self,
        stream: flattened::Writer,
        out: &mut dyn ImageOutput,
    ) -> Result<(), WriteError> {
        self.pass(self.pieces, stream, out)
    }

    /// Writes the current piece, and those up to `next`, which have no bit set.
    fn pass(
        &mut self,
        next: u64,
        stream: flattened::Writer,
        out: &mut dyn ImageOutput,
    ) -> Result<(), WriteError> {
        // A dump ends far below 2^64 bytes.
        let place = |piece: u64| self.offset + piece * PIECE_BYTES;
        let after = self.current + 1;
        let empty = next
            .checked_sub(after)
            .ok_or(WriteError::Misuse("pages were not set in ascending order"))?;
        stream.bytes(place(self.current), &self.piece, out)?;
        stream.zeros(place(after), empty * PIECE_BYTES, out)?;
        self.piece.fill(0);
        self.current = next;
        Ok(())
    }
}

/// The bitmaps that were read, as ranges.
#[derive(Debug, Default)]
pub(super) struct Index {
    pub(super) ranges: Vec<StoredRange>,
    /// For each range, how many pages the dump holds below it: the index of the range's
    /// first descriptor.
    pub(super) ranks: Vec<u64>,
    /// The number of pages that the dump holds.
    pub(super) dumped: u64,
    /// The number of pages that it holds although its first bitmap lacks them.
    pub(super) unlisted: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Absent,
    Excluded,
    Dumped,
}

/// A run of pages in the same state.
struct Runs<'a> {
    account: &'a Account,
    block: Block,
    index: Index,
    state: State,
    begin: u64,
}

impl Index {
    pub(super) fn read(
        source: &impl ReadAt,
        headers: &Headers,
        account: &Account,
    ) -> Result<Self, Error> {
        let mut runs = Runs {
            account,
            block: headers.block,
            index: Self::default(),
            state: State::Absent,
            begin: 0,
        };
        let (mut present, mut dumped) = ([0; BITMAP_BYTES], [0; BITMAP_BYTES]);
        let mut page: u64 = 0;
        while page < headers.max_pages {
            account.work("the bitmaps of a kdump-compressed image", PIECE_BYTES)?;
            for (bitmap, block) in [
                (headers.present, &mut present),
                (headers.dumped, &mut dumped),
            ] {
                // Both bitmaps are within the file: the sum does not overflow.
                let offset = bitmap + page / 8;
                source
                    .read_exact_at(offset, block)
                    .map_err(|source| Error::Io { offset, source })?;
            }
            for (present, dumped) in present.into_iter().zip(dumped) {
                runs.byte(page, present, dumped, headers.max_pages)?;
                page += 8;
            }
        }
        runs.change(State::Absent, headers.max_pages)?;
        Ok(runs.index)
    }
}

impl Runs<'_> {
    /// Adds the bits of eight pages from `page` on.
    fn byte(&mut self, page: u64, present: u8, dumped: u8, max_pages: u64) -> Result<(), Error> {
        self.index.unlisted += u64::from((dumped & !present).count_ones());
        let same = match (present, dumped) {
            (0, 0) => Some(State::Absent),
            (_, 0xff) => Some(State::Dumped),
            (0xff, 0) => Some(State::Excluded),
            _ => None,
        };
        if let Some(state) = same.filter(|_| page + 8 <= max_pages) {
            return self.change(state, page);
        }
        for bit in 0..8_u32 {
            let page = page + u64::from(bit);
            if page >= max_pages {
                break;
            }
            let state = match ((dumped >> bit) & 1, (present >> bit) & 1) {
                (1, _) => State::Dumped,
                (_, 1) => State::Excluded,
                _ => State::Absent,
            };
            self.change(state, page)?;
        }
        Ok(())
    }

    /// Notes that from `page` on, pages are in `state`.
    fn change(&mut self, state: State, page: u64) -> Result<(), Error> {
        if state == self.state {
            return Ok(());
        }
        let pages = page - self.begin;
        let (begin, end) = (self.block.addr(self.begin), self.block.addr(page));
        let range = PhysRange::new(begin, end).ok();
        let content = match self.state {
            State::Absent => None,
            State::Dumped => Some(Content::Data),
            State::Excluded => Some(Content::Skipped {
                reason: SkipReason::NotRequested,
            }),
        };
        if let Some((range, content)) = range.zip(content) {
            self.account.hold_ranges(1)?;
            self.index.ranges.push(StoredRange {
                range,
                kind: None,
                content,
                offset: None,
            });
            self.index.ranks.push(self.index.dumped);
        }
        if self.state == State::Dumped {
            self.index.dumped += pages;
        }
        self.state = state;
        self.begin = page;
        Ok(())
    }
}
