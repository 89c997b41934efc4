// SPDX-License-Identifier: MIT OR Apache-2.0
//! Ranges of physical addresses.

use crate::{PAGE_SIZE, PhysAddr, PhysLen};
use std::fmt;

/// A half-open range of physical addresses.
///
/// # Invariants
/// `start < end`: a range is never empty. No range contains the address 2^64 − 1, which
/// no machine has either: physical addresses end at 2^52.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PhysRange {
    start: PhysAddr,
    end: PhysAddr,
}

/// A range that would be empty, or end past 2^64 − 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EmptyRangeError {
    start: PhysAddr,
    end: PhysAddr,
}

impl PhysRange {
    /// The range from `start` up to, but not including, `end`.
    ///
    /// # Errors
    /// If `end` is not above `start`.
    pub const fn new(start: PhysAddr, end: PhysAddr) -> Result<Self, EmptyRangeError> {
        if start.get() < end.get() {
            Ok(Self { start, end })
        } else {
            Err(EmptyRangeError { start, end })
        }
    }

    /// The range from `first` to `last`, both included, as in /proc/iomem and LiME.
    ///
    /// # Errors
    /// If `last` is below `first`, or is 2^64 − 1.
    pub const fn from_inclusive(first: PhysAddr, last: PhysAddr) -> Result<Self, EmptyRangeError> {
        match last.checked_add(PhysLen::new(1)) {
            Some(end) => Self::new(first, end),
            None => Err(EmptyRangeError {
                start: first,
                end: last,
            }),
        }
    }

    /// The `len` bytes from `start` on.
    ///
    /// # Errors
    /// If `len` is 0, or the range would end past 2^64 − 1.
    pub const fn from_len(start: PhysAddr, len: PhysLen) -> Result<Self, EmptyRangeError> {
        match start.checked_add(len) {
            Some(end) => Self::new(start, end),
            None => Err(EmptyRangeError { start, end: start }),
        }
    }

    /// The first address.
    #[must_use]
    pub const fn start(self) -> PhysAddr {
        self.start
    }

    /// The address after the last one.
    #[must_use]
    pub const fn end(self) -> PhysAddr {
        self.end
    }

    /// The last address.
    #[must_use]
    pub const fn last(self) -> PhysAddr {
        // `start < end`, so `end` is not 0.
        PhysAddr::new(self.end.get() - 1)
    }

    /// The length, never 0.
    #[must_use]
    pub const fn len(self) -> PhysLen {
        PhysLen::new(self.end.get() - self.start.get())
    }

    /// Whether the range contains `addr`.
    #[must_use]
    pub fn contains(self, addr: PhysAddr) -> bool {
        self.start <= addr && addr < self.end
    }

    /// Whether the range contains all of `other`.
    #[must_use]
    pub fn covers(self, other: Self) -> bool {
        self.start <= other.start && other.end <= self.end
    }

    /// The addresses in both ranges.
    #[must_use]
    pub fn intersect(self, other: Self) -> Option<Self> {
        Self::new(self.start.max(other.start), self.end.min(other.end)).ok()
    }

    /// The part of the range below `addr`, and the part from `addr` on.
    #[must_use]
    pub fn split_at(self, addr: PhysAddr) -> (Option<Self>, Option<Self>) {
        (
            Self::new(self.start, self.end.min(addr)).ok(),
            Self::new(self.start.max(addr), self.end).ok(),
        )
    }

    /// The range widened to whole pages; `None` past 2^64 − 1.
    #[must_use]
    pub fn page_hull(self) -> Option<Self> {
        Self::new(self.start.page_floor(), self.end.page_ceil()?).ok()
    }

    /// The whole pages inside the range, if there are any.
    #[must_use]
    pub fn whole_pages(self) -> Option<Self> {
        Self::new(self.start.page_ceil()?, self.end.page_floor()).ok()
    }

    /// As [`whole_pages`](Self::whole_pages), for pages of `page` bytes, as some kernels have
    /// them.
    #[must_use]
    pub fn whole_multiples(self, page: PhysLen) -> Option<Self> {
        let below = self.end.get().checked_rem(page.get())?;
        let start = self.start.get().checked_next_multiple_of(page.get())?;
        let end = self.end.get().checked_sub(below)?;
        Self::new(PhysAddr::new(start), PhysAddr::new(end)).ok()
    }

    /// Consecutive pieces of the range that end at multiples of `step` bytes
    /// above address 0, so that a page is never split when `step` is a multiple
    /// of [`PAGE_SIZE`]. Any other `step` is rounded up to whole pages.
    pub fn pieces(self, step: PhysLen) -> impl Iterator<Item = Self> + Clone {
        // `None`: the step is larger than any address.
        let step = step.get().max(1).checked_next_multiple_of(PAGE_SIZE.get());
        let mut next = Some(self);
        std::iter::from_fn(move || {
            let rest = next?;
            let border = step.and_then(|step| {
                let floor = rest.start.get() - rest.start.get() % step;
                floor.checked_add(step)
            });
            let (piece, remaining) = rest.split_at(border.map_or(rest.end, PhysAddr::new));
            next = remaining;
            piece
        })
    }
}

/// `0xFIRST-0xLAST`, the last byte included as in /proc/iomem; it can be typed again.
impl fmt::Display for PhysRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.start, self.last())
    }
}

impl fmt::Display for EmptyRangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "no range from {} up to {}: a range must hold at least one address and end below 2^64",
            self.start, self.end
        )
    }
}

impl std::error::Error for EmptyRangeError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(start: u64, end: u64) -> PhysRange {
        PhysRange::new(PhysAddr::new(start), PhysAddr::new(end)).unwrap()
    }

    #[test]
    fn no_range_is_empty_or_wraps() {
        let five = PhysAddr::new(5);
        assert!(PhysRange::new(five, five).is_err());
        assert!(PhysRange::from_len(five, PhysLen::ZERO).is_err());
        assert!(PhysRange::from_len(five, PhysLen::new(u64::MAX)).is_err());
        assert!(PhysRange::from_inclusive(five, PhysAddr::new(u64::MAX)).is_err());
        assert!(PhysRange::from_inclusive(five, PhysAddr::new(4)).is_err());
        assert_eq!(
            PhysRange::from_inclusive(five, five).unwrap().len().get(),
            1
        );
    }

    #[test]
    fn prints_as_iomem_does() {
        assert_eq!(range(0x1000, 0xa000).to_string(), "0x1000-0x9fff");
    }

    #[test]
    fn pages_inside_and_around() {
        let odd = range(0x9fc00, 0xa0400);
        assert_eq!(odd.page_hull(), Some(range(0x9f000, 0xa1000)));
        assert_eq!(odd.whole_pages(), None);
        assert_eq!(
            range(0x1, 0x3fff).whole_pages(),
            Some(range(0x1000, 0x3000))
        );
    }

    #[test]
    fn pieces_cover_the_range_in_order_and_end_at_borders() {
        let whole = range(0x1800, 0x5_0400);
        let pieces: Vec<_> = whole.pieces(PhysLen::new(0x10000)).collect();
        assert_eq!(pieces.first().unwrap().start(), whole.start());
        assert_eq!(pieces.last().unwrap().end(), whole.end());
        for pair in pieces.windows(2) {
            assert_eq!(pair[0].end(), pair[1].start());
            assert_eq!(pair[0].end().get() % 0x10000, 0);
        }
        assert_eq!(pieces.len(), 6);
        let top = range(u64::MAX - 0x1000, u64::MAX);
        assert_eq!(top.pieces(PhysLen::new(1 << 40)).count(), 1);
        assert_eq!(top.pieces(PhysLen::new(u64::MAX)).count(), 1);
        assert_eq!(range(0, 0x3000).pieces(PhysLen::ZERO).count(), 3);
    }
}
