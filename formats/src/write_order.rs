// SPDX-License-Identifier: MIT OR Apache-2.0
//! The order in which a writer's methods must be called.

use crate::{Chunk, ImagePlan, WriteError};
use linpmem_phys::num::usize_as_u64;
use linpmem_phys::{PhysAddr, PhysLen, PhysRange, Unreadable};

/// Checks that a writer's methods are called in the order that
/// [`crate::ImageWriter`] requires.
#[derive(Clone, Debug)]
pub(crate) struct WriteOrder {
    ranges: Vec<PhysRange>,
    index: usize,
    next: PhysAddr,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    New,
    Begun,
    Finished,
}

impl WriteOrder {
    pub(crate) fn new(plan: &ImagePlan) -> Self {
        let ranges: Vec<PhysRange> = plan.ranges().iter().map(|planned| planned.range).collect();
        let next = ranges.first().map_or(PhysAddr::ZERO, |range| range.start());
        Self {
            ranges,
            index: 0,
            next,
            state: State::New,
        }
    }

    pub(crate) fn begin(&mut self) -> Result<(), WriteError> {
        if self.state != State::New {
            return Err(WriteError::Misuse("`begin` was called twice"));
        }
        self.state = State::Begun;
        Ok(())
    }

    /// Checks that `chunk` is the next one, and moves past it.
    pub(crate) fn advance(&mut self, chunk: &Chunk<'_>) -> Result<(), WriteError> {
        if self.state != State::Begun {
            return Err(WriteError::Misuse(
                "`chunk` was called before `begin` or after `finish`",
            ));
        }
        let current = self.ranges.get(self.index).copied();
        let Some(range) = current.filter(|_| chunk.start == self.next) else {
            return Err(WriteError::OutOfOrder {
                expected: self.next,
                found: chunk.start,
            });
        };
        let len = PhysLen::new(usize_as_u64(chunk.data.len()));
        let end = chunk.start.checked_add(len);
        let Some(end) = end.filter(|end| *end <= range.end()) else {
            return Err(WriteError::Overrun {
                start: chunk.start,
                len,
                range,
            });
        };
        let lies_within =
            |item: &Unreadable| chunk.start <= item.range.start() && item.range.end() <= end;
        if !chunk.unreadable.iter().all(lies_within) {
            return Err(WriteError::Misuse(
                "an unreadable range lies outside of its chunk",
            ));
        }
        self.next = end;
        if end == range.end() {
            self.index += 1;
            if let Some(following) = self.ranges.get(self.index) {
                self.next = following.start();
            }
        }
        Ok(())
    }

    pub(crate) fn finish(&mut self) -> Result<(), WriteError> {
        if self.state != State::Begun {
            return Err(WriteError::Misuse(
                "`finish` was called before `begin`, or twice",
            ));
        }
        if let Some(range) = self.ranges.get(self.index) {
            // The current range always ends above `next`.
            let (_, missing) = range.split_at(self.next);
            return Err(WriteError::Incomplete {
                missing: missing.unwrap_or(*range),
            });
        }
        self.state = State::Finished;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MachineFacts, PlannedRange};
    use bytes::Bytes;
    use linpmem_phys::RegionKind;

    fn plan(ranges: &[(u64, u64)]) -> ImagePlan {
        let planned = ranges.iter().map(|&(start, end)| PlannedRange {
            range: PhysRange::new(PhysAddr::new(start), PhysAddr::new(end)).unwrap(),
            kind: RegionKind::SystemRam,
        });
        ImagePlan::new(planned.collect(), MachineFacts::default()).unwrap()
    }

    fn chunk(start: u64, data: &[u8]) -> Chunk<'static> {
        Chunk::new(PhysAddr::new(start), Bytes::copy_from_slice(data), &[])
    }

    #[test]
    fn takes_every_range_once_and_in_order() {
        let mut order = WriteOrder::new(&plan(&[(0x1000, 0x3000), (0x8000, 0x9000)]));
        let page = [0; 0x1000];
        order.begin().unwrap();
        order.advance(&chunk(0x1000, &page)).unwrap();
        order.advance(&chunk(0x2000, &page)).unwrap();
        assert!(matches!(
            order.clone().finish(),
            Err(WriteError::Incomplete { missing }) if missing.start().get() == 0x8000
        ));
        order.advance(&chunk(0x8000, &page)).unwrap();
        order.finish().unwrap();
        assert!(matches!(
            order.advance(&chunk(0x8000, &page)),
            Err(WriteError::Misuse(_))
        ));
    }

    #[test]
    fn refuses_gaps_repeats_and_overruns() {
        let mut order = WriteOrder::new(&plan(&[(0x1000, 0x3000)]));
        let pages = [0; 0x3000];
        assert!(matches!(
            order.advance(&chunk(0x1000, &pages[..1])),
            Err(WriteError::Misuse(_))
        ));
        order.begin().unwrap();
        assert!(matches!(order.begin(), Err(WriteError::Misuse(_))));
        assert!(matches!(
            order.advance(&chunk(0x2000, &pages[..0x1000])),
            Err(WriteError::OutOfOrder { .. })
        ));
        assert!(matches!(
            order.advance(&chunk(0x1000, &pages)),
            Err(WriteError::Overrun { .. })
        ));
        order.advance(&chunk(0x1000, &pages[..0x2000])).unwrap();
        assert!(matches!(
            order.advance(&chunk(0x1000, &pages[..0x2000])),
            Err(WriteError::OutOfOrder { .. })
        ));
    }
}
