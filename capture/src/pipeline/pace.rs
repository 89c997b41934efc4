// SPDX-License-Identifier: MIT OR Apache-2.0
//! How fast memory is read, at most.

use crate::stop::Stop;
use std::num::NonZeroU64;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long a request to stop may go unnoticed.
const NAP: Duration = Duration::from_millis(50);

/// Limits a reader to a rate.
#[derive(Debug)]
pub struct Pace {
    bytes_per_s: NonZeroU64,
    /// When the next byte may be read.
    due: Instant,
}

impl Pace {
    /// A limit of `bytes_per_s`, from now on.
    #[must_use]
    pub fn new(bytes_per_s: NonZeroU64) -> Self {
        Self {
            bytes_per_s,
            due: Instant::now(),
        }
    }

    /// Counts bytes that were read, and waits until more may be read or `stop` is raised.
    /// Does not catch up on time that was lost elsewhere.
    pub fn wait(&mut self, bytes: u64, stop: &Stop) {
        let now = Instant::now();
        let ns =
            u128::from(bytes).saturating_mul(1_000_000_000) / u128::from(self.bytes_per_s.get());
        let cost = Duration::from_nanos(u64::try_from(ns).unwrap_or(u64::MAX));
        self.due = self.due.max(now).checked_add(cost).unwrap_or(now);
        while let Some(left) = self.due.checked_duration_since(Instant::now()) {
            if left.is_zero() || stop.is_raised() {
                return;
            }
            sleep(left.min(NAP));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_time_that_it_should_and_no_more_after_a_stop() {
        let rate = NonZeroU64::new(1 << 20).unwrap();
        let begun = Instant::now();
        let mut pace = Pace::new(rate);
        pace.wait(100 << 10, &Stop::default());
        pace.wait(100 << 10, &Stop::default());
        assert!(begun.elapsed() >= Duration::from_millis(190));
        let stop = Stop::default();
        stop.raise();
        // A year's worth.
        pace.wait(u64::MAX, &stop);
        assert!(begun.elapsed() < Duration::from_secs(60));
    }
}
