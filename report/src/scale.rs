// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where an address is on a drawing of physical memory.

use linpmem_phys::PhysRange;

/// Columns of the drawing.
pub(crate) const COLUMNS: usize = 480;

/// What a gap takes of the drawing at most.
const MOST_OF_A_GAP: f64 = 0.02;

/// A piece of the address space whose columns are in proportion to its bytes.
#[derive(Clone, Copy, Debug)]
struct Piece {
    first: u64,
    last: u64,
    /// Where it begins and ends, as a share of the drawing.
    begin: f64,
    end: f64,
}

/// Physical memory from left to right: listed memory in proportion, and what lies between,
/// shortened.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scale {
    pieces: Vec<Piece>,
}

impl Scale {
    /// Of `listed` memory, by address.
    pub(crate) fn of(listed: &[PhysRange]) -> Self {
        let sum: f64 = listed.iter().map(|range| float(range.len().get())).sum();
        if sum <= 0.0 {
            return Self::default();
        }
        let mut widths: Vec<(u64, u64, f64)> = Vec::new();
        let mut next = 0;
        for range in listed {
            let (first, last) = (range.start().get(), range.last().get());
            if first > next {
                let gap = float(first - next) / sum;
                widths.push((next, first - 1, gap.min(MOST_OF_A_GAP)));
            }
            widths.push((first, last, float(range.len().get()) / sum));
            next = last.saturating_add(1);
        }
        let total: f64 = widths.iter().map(|(_, _, width)| width).sum();
        let mut begin = 0.0;
        let pieces = widths.into_iter().map(|(first, last, width)| {
            let end = begin + width / total;
            let piece = Piece {
                first,
                last,
                begin,
                end,
            };
            begin = end;
            piece
        });
        Self {
            pieces: pieces.collect(),
        }
    }

    /// The columns of the addresses from `first` to `last`; `None` if they are nowhere on it.
    pub(crate) fn columns(&self, first: u64, last: u64) -> Option<std::ops::RangeInclusive<usize>> {
        let begin = self.column(first)?;
        let end = self.column(last)?;
        Some(begin..=end.max(begin))
    }

    fn column(&self, address: u64) -> Option<usize> {
        let index = self.pieces.partition_point(|piece| piece.last < address);
        let piece = self.pieces.get(index)?;
        let into = address.saturating_sub(piece.first);
        let share = float(into) / (float(piece.last - piece.first) + 1.0);
        let place = piece.begin + share * (piece.end - piece.begin);
        Some(whole(place * float_of(COLUMNS)).min(COLUMNS - 1))
    }

    /// Some addresses with their places, as shares of the drawing, far enough from each other to
    /// be written below it.
    pub(crate) fn ticks(&self) -> Vec<(u64, f64)> {
        let mut ticks: Vec<(u64, f64)> = Vec::new();
        for piece in &self.pieces {
            if ticks
                .last()
                .is_none_or(|(_, place)| piece.begin - place > 0.14)
            {
                ticks.push((piece.first, piece.begin));
            }
        }
        ticks
    }
}

/// As exact as a drawing needs.
#[expect(
    clippy::as_conversions,
    clippy::cast_precision_loss,
    reason = "for a drawing"
)]
pub(crate) fn float(number: u64) -> f64 {
    number as f64
}

#[expect(
    clippy::as_conversions,
    clippy::cast_precision_loss,
    reason = "for a drawing"
)]
pub(crate) fn float_of(number: usize) -> f64 {
    number as f64
}

/// The number of a column; none is negative or large.
#[expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it saturates"
)]
fn whole(number: f64) -> usize {
    number as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use linpmem_phys::PhysAddr;

    fn range(first: u64, last: u64) -> PhysRange {
        PhysRange::from_inclusive(PhysAddr::new(first), PhysAddr::new(last)).unwrap()
    }

    #[test]
    fn memory_is_in_proportion_and_gaps_are_short() {
        let gib = 1 << 30;
        let scale = Scale::of(&[range(0, gib - 1), range(1 << 40, (1 << 40) + gib - 1)]);
        let first = scale.columns(0, gib - 1).unwrap();
        let second = scale.columns(1 << 40, (1 << 40) + gib - 1).unwrap();
        assert_eq!(*first.start(), 0);
        assert_eq!(*second.end(), COLUMNS - 1);
        let width = |columns: &std::ops::RangeInclusive<usize>| columns.end() - columns.start();
        assert!(width(&first).abs_diff(width(&second)) <= 2);
        assert!(second.start() - first.end() < COLUMNS / 40);
        assert!(scale.columns(u64::MAX, u64::MAX).is_none());
        assert_eq!(scale.ticks().len(), 2);
    }

    #[test]
    fn without_memory_there_is_no_place() {
        let scale = Scale::of(&[]);
        assert!(scale.columns(0, 1).is_none());
        assert!(scale.ticks().is_empty());
    }
}
