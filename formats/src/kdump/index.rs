// SPDX-License-Identifier: MIT OR Apache-2.0
//! The bitmaps of a dump, as ranges.

use super::header::Headers;
use super::{BLOCK_BYTES, Error};
use crate::{ReadAt, StoredRange};
use linpmem_phys::{Content, PhysAddr, PhysRange, SkipReason};

/// Which pages a dump holds, and which it names only.
#[derive(Debug, Default)]
pub(super) struct Index {
    pub(super) ranges: Vec<StoredRange>,
    /// For each range, how many pages the dump holds below it: the number of its
    /// first descriptor.
    pub(super) ranks: Vec<u64>,
    /// Pages that the dump holds.
    pub(super) dumped: u64,
    /// Pages that it holds but does not name.
    pub(super) unnamed: u64,
}

/// The most ranges that are believed, which take 700 MiB.
const MAX_RANGES: usize = 1 << 23;

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Absent,
    Left,
    Dumped,
}

/// A run of pages in one state.
struct Runs {
    index: Index,
    state: State,
    begin: u64,
}

impl Index {
    pub(super) fn read(source: &impl ReadAt, headers: &Headers) -> Result<Self, Error> {
        let mut runs = Runs {
            index: Self::default(),
            state: State::Absent,
            begin: 0,
        };
        let (mut present, mut dumped) = ([0; BLOCK_BYTES], [0; BLOCK_BYTES]);
        let mut page: u64 = 0;
        while page < headers.max_pages {
            for (bitmap, block) in [
                (headers.present, &mut present),
                (headers.dumped, &mut dumped),
            ] {
                // Both bitmaps lie within the file: no sum overflows.
                let offset = bitmap.saturating_add(page / 8);
                source
                    .read_exact_at(offset, block)
                    .map_err(|source| Error::Io { offset, source })?;
            }
            for (present, dumped) in present.into_iter().zip(dumped) {
                runs.byte(page, present, dumped, headers.max_pages)?;
                page = page.saturating_add(8);
            }
        }
        runs.change(State::Absent, headers.max_pages)?;
        Ok(runs.index)
    }
}

impl Runs {
    /// Takes the bits of eight pages from `page` on.
    fn byte(&mut self, page: u64, present: u8, dumped: u8, max_pages: u64) -> Result<(), Error> {
        let unnamed = u64::from((dumped & !present).count_ones());
        self.index.unnamed = self.index.unnamed.saturating_add(unnamed);
        let same = match (present, dumped) {
            (0, 0) => Some(State::Absent),
            (_, 0xff) => Some(State::Dumped),
            (0xff, 0) => Some(State::Left),
            _ => None,
        };
        if let Some(state) = same.filter(|_| page.saturating_add(8) <= max_pages) {
            return self.change(state, page);
        }
        for bit in 0..8_u32 {
            let page = page.saturating_add(u64::from(bit));
            if page >= max_pages {
                break;
            }
            let state = match ((dumped >> bit) & 1, (present >> bit) & 1) {
                (1, _) => State::Dumped,
                (_, 1) => State::Left,
                _ => State::Absent,
            };
            self.change(state, page)?;
        }
        Ok(())
    }

    /// From `page` on, pages are in `state`.
    fn change(&mut self, state: State, page: u64) -> Result<(), Error> {
        if state == self.state {
            return Ok(());
        }
        let pages = page.saturating_sub(self.begin);
        let addr = |page: u64| PhysAddr::new(page.saturating_mul(4096));
        let range = PhysRange::new(addr(self.begin), addr(page)).ok();
        let content = match self.state {
            State::Absent => None,
            State::Dumped => Some(Content::Data),
            State::Left => Some(Content::Skipped {
                reason: SkipReason::NotRequested,
            }),
        };
        if let Some((range, content)) = range.zip(content) {
            if self.index.ranges.len() == MAX_RANGES {
                return Err(Error::TooManyRanges { limit: MAX_RANGES });
            }
            self.index.ranges.push(StoredRange {
                range,
                kind: None,
                content,
                offset: None,
            });
            self.index.ranks.push(self.index.dumped);
        }
        if self.state == State::Dumped {
            self.index.dumped = self.index.dumped.saturating_add(pages);
        }
        self.state = state;
        self.begin = page;
        Ok(())
    }
}
