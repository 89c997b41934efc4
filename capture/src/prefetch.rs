// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory that is read before its turn: what changes fastest is read first, while the
//! image is written by address.

use crate::clock::monotonic_ns;
use crate::pages::Pages;
use crate::reader::ReadPages;
use crate::stop::Stop;
use linpmem_phys::num::{len_bytes, u64_as_usize};
use linpmem_phys::{PageBuffer, PhysAddr, PhysLen, PhysRange, SourceError, Unreadables};

/// Bytes that are asked for at a time.
const STEP: PhysLen = PhysLen::new(1 << 20);

/// A source, and some of its pages as they were at the beginning. These are not read
/// again.
pub struct Prefetched<'a> {
    source: &'a dyn ReadPages,
    pages: Pages,
    /// The prefetched pages, in pieces, by address.
    pieces: Vec<(PhysRange, PageBuffer)>,
    unreadable: Unreadables,
    /// When the first byte was read and the last, by CLOCK_MONOTONIC.
    read_ns: [u64; 2],
}

impl<'a> Prefetched<'a> {
    /// Reads `pages` of `source` now, unless `stop` is raised.
    ///
    /// # Errors
    /// If the source as a whole failed.
    pub fn read(
        source: &'a dyn ReadPages,
        pages: &Pages,
        stop: &Stop,
    ) -> Result<Self, SourceError> {
        let mut unreadable = Unreadables::new();
        let mut pieces = Vec::new();
        let begin_ns = monotonic_ns();
        for piece in pages.ranges().iter().flat_map(|range| range.pieces(STEP)) {
            if stop.is_raised() {
                break;
            }
            let mut buffer = PageBuffer::new(u64_as_usize(piece.len().get()));
            source.read_pages(piece.start(), &mut buffer, &mut unreadable)?;
            pieces.push((piece, buffer));
        }
        Ok(Self {
            source,
            pages: Pages::touched_by(pieces.iter().map(|&(piece, _)| piece)),
            pieces,
            unreadable,
            read_ns: [begin_ns, monotonic_ns()],
        })
    }

    /// How much was prefetched.
    #[must_use]
    pub fn total(&self) -> PhysLen {
        let bytes = self.pieces.iter().map(|(_, buffer)| len_bytes(buffer));
        PhysLen::new(bytes.sum())
    }

    /// The prefetched ranges.
    #[must_use]
    pub fn ranges(&self) -> &[PhysRange] {
        self.pages.ranges()
    }

    /// When the first byte was read and the last, in nanoseconds of CLOCK_MONOTONIC.
    #[must_use]
    pub const fn read_ns(&self) -> [u64; 2] {
        self.read_ns
    }

    /// Copies what was prefetched of `part` into `target`, which has as many bytes,
    /// and lists what of it could not be read.
    fn copy(&self, part: PhysRange, mut target: &mut [u8], unreadable: &mut Unreadables) {
        let first = self
            .pieces
            .partition_point(|(piece, _)| piece.end() <= part.start());
        for (piece, buffer) in self.pieces.iter().skip(first) {
            let Some(both) = piece.intersect(part) else {
                break;
            };
            let within = both.start().checked_sub(piece.start());
            let within = within.map_or(0, |within| u64_as_usize(within.get()));
            let len = u64_as_usize(both.len().get());
            let (head, tail) = target.split_at_mut(len);
            let (_, bytes) = buffer.split_at(within);
            let (bytes, _) = bytes.split_at(len);
            head.copy_from_slice(bytes);
            target = tail;
        }
        let listed = self.unreadable.as_slice();
        let first = listed.partition_point(|item| item.range.end() <= part.start());
        for item in listed.iter().skip(first) {
            match item.range.intersect(part) {
                Some(both) => unreadable.push(both, item.errno),
                None => break,
            }
        }
    }
}

impl ReadPages for Prefetched<'_> {
    fn read_pages(
        &self,
        start: PhysAddr,
        buffer: &mut PageBuffer,
        unreadable: &mut Unreadables,
    ) -> Result<(), SourceError> {
        let Ok(whole) = PhysRange::from_len(start, PhysLen::new(len_bytes(buffer))) else {
            return Ok(()); // nothing was asked for
        };
        let held: Vec<_> = self.pages.within(whole).collect();
        if held.is_empty() {
            return self.source.read_pages(start, buffer, unreadable);
        }
        // The only place that copies bytes: those that were prefetched, and their neighbours.
        let others = self.pages.outside(whole).into_iter();
        let mut parts: Vec<_> = others.map(|part| (part, false)).collect();
        parts.extend(held.into_iter().map(|part| (part, true)));
        parts.sort_unstable_by_key(|&(part, _)| part);
        let mut rest: &mut [u8] = buffer;
        for (part, is_held) in parts {
            let (target, tail) = rest.split_at_mut(u64_as_usize(part.len().get()));
            rest = tail;
            if is_held {
                self.copy(part, target, unreadable);
            } else {
                let mut read = PageBuffer::new(target.len());
                self.source
                    .read_pages(part.start(), &mut read, unreadable)?;
                target.copy_from_slice(&read);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reader::Direct;
    use linpmem_phys::{Errno, PAGE_SIZE, ReadPhys};
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
        let live = Direct(&clock);
        let held = Prefetched::read(&live, &pages, &Stop::default()).unwrap();
        assert_eq!(held.total(), PhysLen::new(0x3000));
        let mut unreadable = Unreadables::new();
        let mut buf = PageBuffer::new(0x6000);
        held.read_pages(PhysAddr::new(0), &mut buf, &mut unreadable)
            .unwrap();
        let seen: Vec<u8> = buf.chunks(0x1000).map(|page| page[0]).collect();
        assert_eq!(seen, [3, 1, 4, 2, 2, 5]);
        assert_eq!(unreadable.as_slice().len(), 1);
        assert_eq!(unreadable.as_slice()[0].range, range(0x3000, 0x4000));
        // From within what is held, and nothing is read for it.
        let mut buf = PageBuffer::new(0x800);
        held.read_pages(PhysAddr::new(0x4800), &mut buf, &mut unreadable)
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
        let live = Direct(&clock);
        let held = Prefetched::read(&live, &pages, &stop).unwrap();
        assert!(held.ranges().is_empty());
    }
}
