// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sets of whole pages.

use linpmem_phys::{PhysAddr, PhysRange};

/// Pages, as ranges.
///
/// # Invariants
/// Whole pages, ascending, disjoint, and not touching each other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pages(Vec<PhysRange>);

impl Pages {
    /// Every page that one of `ranges` touches.
    pub fn touched_by(ranges: impl IntoIterator<Item = PhysRange>) -> Self {
        let mut hulls: Vec<PhysRange> = ranges
            .into_iter()
            .filter_map(PhysRange::page_hull)
            .collect();
        hulls.sort_unstable();
        let mut merged: Vec<PhysRange> = Vec::with_capacity(hulls.len());
        for hull in hulls {
            let joined = merged
                .last()
                .filter(|last| hull.start() <= last.end())
                .and_then(|last| PhysRange::new(last.start(), last.end().max(hull.end())).ok());
            if let Some(joined) = joined {
                merged.pop();
                merged.push(joined);
            } else {
                merged.push(hull);
            }
        }
        Self(merged)
    }

    /// The ranges, by address.
    #[must_use]
    pub fn ranges(&self) -> &[PhysRange] {
        &self.0
    }

    /// Whether there is no page.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The address after the last page.
    #[must_use]
    pub fn end(&self) -> Option<PhysAddr> {
        self.0.last().map(|range| range.end())
    }

    /// The parts of `range` in these pages.
    pub fn within(&self, range: PhysRange) -> impl Iterator<Item = PhysRange> + '_ {
        self.from(range)
            .map_while(move |own| match own.start() < range.end() {
                true => Some(own.intersect(range)),
                false => None,
            })
            .flatten()
    }

    /// The parts of `range` outside these pages.
    #[must_use]
    pub fn outside(&self, range: PhysRange) -> Vec<PhysRange> {
        let mut parts = Vec::new();
        let mut rest = Some(range);
        for own in self.from(range) {
            let Some(left) = rest else { break };
            let (before, from_here) = left.split_at(own.start());
            parts.extend(before);
            rest = from_here.and_then(|part| part.split_at(own.end()).1);
        }
        parts.extend(rest);
        parts
    }

    /// The ranges, starting with the first that ends above the start of `range`.
    fn from(&self, range: PhysRange) -> impl Iterator<Item = PhysRange> + '_ {
        let first = self.0.partition_point(|own| own.end() <= range.start());
        self.0.iter().skip(first).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(start: u64, end: u64) -> PhysRange {
        PhysRange::new(PhysAddr::new(start), PhysAddr::new(end)).unwrap()
    }

    fn pages() -> Pages {
        Pages::touched_by([
            range(0x8000, 0x9000),
            range(0x1800, 0x2001),
            range(0x2fff, 0x3000),
            range(0x3000, 0x4001),
        ])
    }

    #[test]
    fn widens_and_merges() {
        assert_eq!(
            pages().ranges(),
            [range(0x1000, 0x5000), range(0x8000, 0x9000)]
        );
        assert_eq!(pages().end(), Some(PhysAddr::new(0x9000)));
    }

    #[test]
    fn inside_and_outside_make_up_the_whole() {
        let whole = range(0x800, 0x8800);
        let inside: Vec<_> = pages().within(whole).collect();
        assert_eq!(inside, [range(0x1000, 0x5000), range(0x8000, 0x8800)]);
        assert_eq!(
            pages().outside(whole),
            [range(0x800, 0x1000), range(0x5000, 0x8000)]
        );
        assert!(pages().outside(range(0x2000, 0x3000)).is_empty());
        assert_eq!(
            pages().outside(range(0x9000, 0xa000)),
            [range(0x9000, 0xa000)]
        );
        assert_eq!(pages().within(range(0x6000, 0x7000)).count(), 0);
        assert_eq!(
            Pages::default().outside(range(0, 1)),
            [range(0, 1)],
            "nothing taken from it"
        );
    }
}
