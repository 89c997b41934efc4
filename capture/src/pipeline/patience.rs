// SPDX-License-Identifier: MIT OR Apache-2.0
//! How long the writer waits for a hash that is late.
//!
//! A hash that is fast enough can be late for a moment, when the system runs something else
//! in its place. If it fell behind then, all that follows would have to be read back.

use std::thread;
use std::time::{Duration, Instant};

/// What may be waited at first, and the most at once: the run looks only between two waits
/// whether it was asked to stop.
const GRACE: Duration = Duration::from_millis(50);

/// Of the time since the beginning, this part may be waited in addition.
const PART: u32 = 50;

/// Between two looks at the hash.
const LOOK: Duration = Duration::from_micros(200);

/// The time that may be waited in a run, and how much of it is used up.
#[derive(Debug)]
pub struct Patience {
    began: Instant,
    waited: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            began: Instant::now(),
            waited: Duration::ZERO,
        }
    }
}

impl Patience {
    /// Waits until `is_done`; false if that takes too long.
    pub fn wait(&mut self, is_done: impl Fn() -> bool) -> bool {
        let begun = Instant::now();
        let left = (GRACE + (begun - self.began) / PART).saturating_sub(self.waited);
        let most = left.min(GRACE);
        let mut is_over = false;
        while !is_over && begun.elapsed() < most {
            thread::sleep(LOOK);
            is_over = is_done();
        }
        self.waited += begun.elapsed();
        is_over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After `hours` in which `waited` seconds were waited.
    fn after(hours: u64, waited: u64) -> Patience {
        Patience {
            began: Instant::now()
                .checked_sub(Duration::from_secs(hours * 3600))
                .unwrap(),
            waited: Duration::from_secs(waited),
        }
    }

    #[test]
    fn what_is_used_up_is_gone_and_more_comes_with_time() {
        let mut patience = Patience::default();
        assert!(!patience.wait(|| false));
        assert!(patience.waited >= GRACE);
        // Two hours allow for little more than 144 seconds.
        for (waited, is_left) in [(0, true), (140, true), (150, false)] {
            assert_eq!(after(2, waited).wait(|| true), is_left, "{waited}");
        }
    }

    /// A signal would go unheard meanwhile.
    #[test]
    fn much_time_that_is_left_is_not_waited_at_once() {
        let mut patience = after(1, 0);
        assert!(!patience.wait(|| false));
        // 72 seconds are left.
        assert!(patience.waited < Duration::from_secs(30));
    }
}
