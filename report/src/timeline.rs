// SPDX-License-Identifier: MIT OR Apache-2.0
//! How fast memory was read, over the time that it took.

use crate::scale::{float, float_of};
use linpmem_manifest::ReadSpan;

/// Bars at most. When there are more, each takes twice the time.
const MOST_BARS: usize = 240;

/// The time of a bar at first.
const FIRST_US: u64 = 1000;

/// Nothing was read for this long: a stall.
const STALL_US: u64 = 1_000_000;

/// Bytes that were read, by time.
#[derive(Clone, Debug)]
pub(crate) struct Timeline {
    /// What a bar takes.
    bar_us: u64,
    bars: Vec<f64>,
    first_us: u64,
    end_us: u64,
}

/// A time in which nothing was read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Stall {
    pub(crate) begin_s: f64,
    pub(crate) seconds: f64,
}

impl Default for Timeline {
    fn default() -> Self {
        Self {
            bar_us: FIRST_US,
            bars: Vec::new(),
            first_us: u64::MAX,
            end_us: 0,
        }
    }
}

impl Timeline {
    /// `bytes` were read in `span`.
    pub(crate) fn add(&mut self, span: ReadSpan, bytes: u64) {
        self.first_us = self.first_us.min(span.begin_us);
        self.end_us = self.end_us.max(span.end_us());
        while span.end_us() / self.bar_us >= u64::try_from(MOST_BARS).unwrap_or(u64::MAX) {
            self.halve();
        }
        let (first, last) = (self.bar(span.begin_us), self.bar(span.end_us()));
        if self.bars.len() <= last {
            self.bars.resize(last + 1, 0.0);
        }
        let share = float(bytes) / float_of(last - first + 1);
        for bar in self.bars.iter_mut().skip(first).take(last - first + 1) {
            *bar += share;
        }
    }

    fn bar(&self, at_us: u64) -> usize {
        usize::try_from(at_us / self.bar_us).unwrap_or(usize::MAX)
    }

    fn halve(&mut self) {
        self.bar_us = self.bar_us.saturating_mul(2);
        let pairs = self.bars.chunks(2).map(|pair| pair.iter().sum());
        self.bars = pairs.collect();
    }

    /// Seconds of a bar.
    pub(crate) fn bar_seconds(&self) -> f64 {
        float(self.bar_us) / 1e6
    }

    /// Bytes of each bar, from that in which the first page was read.
    pub(crate) fn bars(&self) -> &[f64] {
        let first = match self.bars.is_empty() {
            true => 0,
            false => self.bar(self.first_us),
        };
        self.bars.get(first..).unwrap_or_default()
    }

    /// Bytes of the longest bar.
    pub(crate) fn most(&self) -> f64 {
        self.bars.iter().copied().fold(0.0, f64::max)
    }

    /// Seconds from the first page to the last.
    pub(crate) fn seconds(&self) -> f64 {
        float(self.end_us.saturating_sub(self.first_us)) / 1e6
    }

    /// When nothing was read for a second or more, the longest first.
    pub(crate) fn stalls(&self) -> Vec<Stall> {
        let mut stalls = Vec::new();
        let mut begun = None;
        // The last bar has bytes, and ends a stall.
        for (index, bytes) in self.bars().iter().enumerate() {
            match (*bytes > 0.0, begun) {
                (false, None) => begun = Some(index),
                (true, Some(first)) => {
                    let stall = Stall {
                        begin_s: float_of(first) * self.bar_seconds(),
                        seconds: float_of(index - first) * self.bar_seconds(),
                    };
                    if stall.seconds * 1e6 >= float(STALL_US) {
                        stalls.push(stall);
                    }
                    begun = None;
                }
                _ => {}
            }
        }
        stalls.sort_by(|one, other| other.seconds.total_cmp(&one.seconds));
        stalls
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_have_all_bytes_however_long_it_takes() {
        let mut timeline = Timeline::default();
        for chunk in 0..10_000 {
            timeline.add(
                ReadSpan::between(chunk * 3000, chunk * 3000 + 2500),
                1 << 20,
            );
        }
        assert!(timeline.bars().len() <= MOST_BARS);
        let sum: f64 = timeline.bars().iter().sum();
        assert!((sum - float(10_000 << 20)).abs() < 1.0, "{sum}");
        assert!((timeline.seconds() - 29.9995).abs() < 1e-6);
        assert!(timeline.stalls().is_empty());
    }

    #[test]
    fn a_stall_is_seen() {
        let mut timeline = Timeline::default();
        timeline.add(ReadSpan::between(0, 1_000_000), 1 << 20);
        timeline.add(ReadSpan::between(6_000_000, 7_000_000), 1 << 20);
        let stalls = timeline.stalls();
        assert_eq!(stalls.len(), 1);
        assert!((4.5..=5.5).contains(&stalls[0].seconds), "{stalls:?}");
    }

    #[test]
    fn hostile_times_take_no_memory() {
        let mut timeline = Timeline::default();
        timeline.add(ReadSpan::between(0, u64::MAX), u64::MAX);
        timeline.add(ReadSpan::between(u64::MAX, u64::MAX), u64::MAX);
        assert!(timeline.bars().len() <= MOST_BARS);
        assert!(Timeline::default().bars().is_empty());
    }
}
