// SPDX-License-Identifier: MIT OR Apache-2.0
//! How long a store that fails is asked again.

use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The first pause between two attempts, and the longest.
const PAUSES: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(20)];

/// For how long a request is repeated when the run is to end.
const HURRIED: Duration = Duration::from_secs(10);

/// How often a pause looks whether there is still time.
const LOOK: Duration = Duration::from_millis(100);

/// What happens when the store fails.
#[derive(Clone)]
pub struct Patience {
    /// Each request is tried again for this long.
    pub give_up: Duration,
    /// Whether the user wants the run to end: then it is tried for a moment only.
    pub is_hurried: Arc<dyn Fn() -> bool + Send + Sync>,
    /// Is told `true` whenever a request fails and is tried again, and `false` when it succeeded.
    pub watch: Arc<dyn Fn(bool) + Send + Sync>,
}

impl Patience {
    /// Asks for `give_up`, and nobody is told.
    #[must_use]
    pub fn quiet(give_up: Duration) -> Self {
        Self {
            give_up,
            is_hurried: Arc::new(|| false),
            watch: Arc::new(|_| {}),
        }
    }
}

/// The attempts at one request.
pub(crate) struct Attempts<'a> {
    patience: &'a Patience,
    since: Instant,
    pause: Duration,
    failed: bool,
}

impl<'a> Attempts<'a> {
    pub(crate) fn new(patience: &'a Patience) -> Self {
        Self {
            patience,
            since: Instant::now(),
            pause: PAUSES[0],
            failed: false,
        }
    }

    /// Whether an attempt failed before.
    pub(crate) const fn is_repeated(&self) -> bool {
        self.failed
    }

    /// After a failed attempt: waits, and says whether there is time for another. `least` is how
    /// long the store wants to be left alone.
    pub(crate) fn again(&mut self, least: Option<Duration>) -> bool {
        self.failed = true;
        (self.patience.watch)(true);
        let until = Instant::now() + self.pause.max(least.unwrap_or_default().min(PAUSES[1]));
        // Machines that failed together do not all come back together.
        self.pause = (self.pause * 2).min(PAUSES[1]).mul_f64(jitter());
        loop {
            let hurried = (self.patience.is_hurried)();
            let time = match hurried {
                true => self.patience.give_up.min(HURRIED),
                false => self.patience.give_up,
            };
            if self.since.elapsed() >= time {
                return false;
            }
            let now = Instant::now();
            if now >= until {
                return true;
            }
            sleep(LOOK.min(until - now));
        }
    }

    /// The request succeeded.
    pub(crate) fn done(&self) {
        if self.failed {
            (self.patience.watch)(false);
        }
    }

    /// For how long it was tried.
    pub(crate) fn elapsed(&self) -> Duration {
        self.since.elapsed()
    }
}

/// Between 0.75 and 1.25.
fn jitter() -> f64 {
    let mut byte = [0_u8; 1];
    match ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut byte) {
        Ok(()) => 0.75 + f64::from(byte[0]) / 510.0,
        Err(_) => 1.0,
    }
}
