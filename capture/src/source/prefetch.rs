// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory of which some was read before its turn: what changes most is read first,
//! while an image is written by address.

use crate::clock::monotonic_ns;
use crate::pages::Pages;
use crate::stop::Stop;
use linpmem_phys::num::u64_as_usize;
use linpmem_phys::{PhysAddr, PhysLen, PhysRange, ReadPhys, SourceError, Unreadables};

/// Bytes that are asked for at a time.
const STEP: PhysLen = PhysLen::new(1 << 20);

/// A source, and copies of some of its pages. What is held is not read again.
pub struct Prefetched<'a> {
    source: &'a dyn ReadPhys,
    pages: Pages,
    /// Where the copies begin in `bytes`, in the order of `pages`.
    offsets: Vec<usize>,
    bytes: Vec<u8>,
    unreadable: Unreadables,
    /// When the first byte was read and the last, by CLOCK_MONOTONIC.
    read_ns: [u64; 2],
}

impl<'a> Prefetched<'a> {
    /// Reads `pages` of `source` now, unless `stop` is raised.
    ///
    /// # Errors
    /// If the source as a whole failed.
    pub fn read(source: &'a dyn ReadPhys, pages: Pages, stop: &Stop) -> Result<Self, SourceError> {
        let total = pages
            .ranges()
            .iter()
            .fold(0_u64, |sum, range| sum.saturating_add(range.len().get()));
        let mut bytes = vec![0; u64_as_usize(total)];
        let mut unreadable = Unreadables::new();
        let mut offsets = Vec::with_capacity(pages.ranges().len());
        let mut rest = bytes.as_mut_slice();
        let mut offset = 0_usize;
        let mut read = Vec::new();
        let begin_ns = monotonic_ns();
        for &range in pages.ranges() {
            if stop.is_raised() {
                break;
            }
            offsets.push(offset);
            for piece in range.pieces(STEP) {
                let len = u64_as_usize(piece.len().get()).min(rest.len());
                let (target, tail) = rest.split_at_mut(len);
                source.read_phys(piece.start(), target, &mut unreadable)?;
                rest = tail;
                offset = offset.saturating_add(len);
            }
            read.push(range);
        }
        Ok(Self {
            source,
            pages: Pages::touched_by(read),
            offsets,
            bytes,
            unreadable,
            read_ns: [begin_ns, monotonic_ns()],
        })
    }

    /// How much is held.
    #[must_use]
    pub fn total(&self) -> PhysLen {
        PhysLen::new(
            self.pages
                .ranges()
                .iter()
                .fold(0, |sum: u64, range| sum.saturating_add(range.len().get())),
        )
    }

    /// The ranges that are held.
    #[must_use]
    pub fn ranges(&self) -> &[PhysRange] {
        self.pages.ranges()
    }

    /// When the first byte was read and the last, in nanoseconds of CLOCK_MONOTONIC.
    #[must_use]
    pub const fn read_ns(&self) -> [u64; 2] {
        self.read_ns
    }

    /// The copy of `part`, which lies in one of the ranges.
    fn copy(&self, part: PhysRange) -> Option<&[u8]> {
        let ranges = self.pages.ranges();
        let index = ranges.partition_point(|range| range.end() <= part.start());
        let within = part.start().checked_sub(ranges.get(index)?.start())?;
        let start = self
            .offsets
            .get(index)?
            .checked_add(u64_as_usize(within.get()))?;
        let end = start.checked_add(u64_as_usize(part.len().get()))?;
        self.bytes.get(start..end)
    }
}

impl ReadPhys for Prefetched<'_> {
    fn read_phys(
        &self,
        start: PhysAddr,
        buf: &mut [u8],
        unreadable: &mut Unreadables,
    ) -> Result<(), SourceError> {
        let len = PhysLen::new(u64::try_from(buf.len()).unwrap_or(u64::MAX));
        let Ok(whole) = PhysRange::from_len(start, len) else {
            return Ok(()); // nothing was asked for
        };
        let held = self.pages.within(whole).map(|part| (part, true));
        let others = self.pages.outside(whole).into_iter();
        let mut parts: Vec<_> = held.chain(others.map(|part| (part, false))).collect();
        parts.sort_unstable_by_key(|&(part, _)| part);
        let mut rest = buf;
        for (part, is_held) in parts {
            let (target, tail) = rest.split_at_mut(u64_as_usize(part.len().get()).min(rest.len()));
            rest = tail;
            match self.copy(part).filter(|_| is_held) {
                Some(copy) => {
                    target.copy_from_slice(copy);
                    let listed = self.unreadable.as_slice();
                    let first = listed.partition_point(|item| item.range.end() <= part.start());
                    for item in listed.iter().skip(first) {
                        match item.range.intersect(part) {
                            Some(both) => unreadable.push(both, item.errno),
                            None => break,
                        }
                    }
                }
                None => self.source.read_phys(part.start(), target, unreadable)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use linpmem_phys::{Errno, PAGE_SIZE};
    use std::sync::Mutex;

    /// Each page holds how often something was read before it; page 3 cannot be read.
    #[derive(Default)]
    struct Clock(Mutex<u8>);

    impl ReadPhys for Clock {
        fn read_phys(
            &self,
            start: PhysAddr,
            buf: &mut [u8],
            unreadable: &mut Unreadables,
        ) -> Result<(), SourceError> {
            let mut count = self.0.lock().unwrap();
            *count += 1;
            buf.fill(*count);
            let len = PhysLen::new(u64::try_from(buf.len()).unwrap());
            let bad = PhysRange::from_len(PhysAddr::new(0x3000), PAGE_SIZE).unwrap();
            let all = PhysRange::from_len(start, len).unwrap();
            if let Some(part) = bad.intersect(all) {
                unreadable.push(part, Errno::EIO);
            }
            Ok(())
        }
    }

    fn range(start: u64, end: u64) -> PhysRange {
        PhysRange::new(PhysAddr::new(start), PhysAddr::new(end)).unwrap()
    }

    #[test]
    fn what_is_held_is_given_as_it_was_read_and_the_rest_as_it_is() {
        let clock = Clock::default();
        let pages = Pages::touched_by([range(0x1000, 0x2000), range(0x3000, 0x5000)]);
        let held = Prefetched::read(&clock, pages, &Stop::default()).unwrap();
        assert_eq!(held.total(), PhysLen::new(0x3000));
        let mut unreadable = Unreadables::new();
        let mut buf = vec![0; 0x6000];
        held.read_phys(PhysAddr::new(0), &mut buf, &mut unreadable)
            .unwrap();
        let seen: Vec<u8> = buf.chunks(0x1000).map(|page| page[0]).collect();
        assert_eq!(seen, [3, 1, 4, 2, 2, 5]);
        assert_eq!(unreadable.as_slice().len(), 1);
        assert_eq!(unreadable.as_slice()[0].range, range(0x3000, 0x4000));
        // From within what is held, and nothing is read for it.
        let mut buf = vec![0; 0x800];
        held.read_phys(PhysAddr::new(0x4800), &mut buf, &mut unreadable)
            .unwrap();
        assert!(buf.iter().all(|&byte| byte == 2));
        assert_eq!(*clock.0.lock().unwrap(), 5);
        assert_eq!(unreadable.as_slice().len(), 1);
    }

    #[test]
    fn after_a_stop_nothing_is_held() {
        let clock = Clock::default();
        let stop = Stop::default();
        stop.raise();
        let pages = Pages::touched_by([range(0x1000, 0x2000)]);
        let held = Prefetched::read(&clock, pages, &stop).unwrap();
        assert!(held.ranges().is_empty());
    }
}
