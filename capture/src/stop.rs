// SPDX-License-Identifier: MIT OR Apache-2.0
//! The wish to end early.

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const SIGNALS: [(i32, &str); 3] = [(SIGINT, "SIGINT"), (SIGTERM, "SIGTERM"), (SIGHUP, "SIGHUP")];

/// Raised once, by a signal, by the clock, or by whoever holds it; every loop looks
/// at it.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    raised: Arc<AtomicBool>,
    /// The signal that raised it, or 0.
    signal: Arc<AtomicUsize>,
    deadline: Option<Deadline>,
}

#[derive(Clone, Copy, Debug)]
struct Deadline {
    at: Instant,
    after: Duration,
}

/// What raised a [`Stop`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StopReason {
    /// A signal, by name.
    Signal(&'static str),
    /// The time is over that the run was given.
    Timeout(Duration),
    /// Someone asked for it.
    Asked,
}

impl Stop {
    /// Raised by the first SIGINT, SIGTERM or SIGHUP. The second one ends the
    /// process at once, with exit code 1.
    ///
    /// # Errors
    /// If the handlers cannot be set.
    pub fn on_signals() -> io::Result<Self> {
        let stop = Self::default();
        for (signal, _) in SIGNALS {
            // In this order: the first signal finds the flag still lowered.
            signal_hook::flag::register_conditional_shutdown(signal, 1, Arc::clone(&stop.raised))?;
            let number = usize::try_from(signal).unwrap_or_default();
            signal_hook::flag::register_usize(signal, Arc::clone(&stop.signal), number)?;
            signal_hook::flag::register(signal, Arc::clone(&stop.raised))?;
        }
        Ok(stop)
    }

    /// Raised `after` this moment, too.
    #[must_use]
    pub fn with_timeout(self, after: Duration) -> Self {
        // What the clock cannot count to never comes.
        let deadline = Instant::now().checked_add(after);
        Self {
            deadline: deadline.map(|at| Deadline { at, after }),
            ..self
        }
    }

    /// Asks for the end.
    pub fn raise(&self) {
        self.raised.store(true, Ordering::Relaxed);
    }

    /// Whether the end was asked for.
    #[must_use]
    pub fn is_raised(&self) -> bool {
        self.raised.load(Ordering::Relaxed) || self.is_late().is_some()
    }

    /// What raised it, if it is raised.
    #[must_use]
    pub fn reason(&self) -> Option<StopReason> {
        let caught = self.signal.load(Ordering::Relaxed);
        let signal = SIGNALS
            .iter()
            .find(|&&(number, _)| usize::try_from(number) == Ok(caught));
        if let Some(&(_, name)) = signal {
            return Some(StopReason::Signal(name));
        }
        if self.raised.load(Ordering::Relaxed) {
            return Some(StopReason::Asked);
        }
        self.is_late().map(StopReason::Timeout)
    }

    fn is_late(&self) -> Option<Duration> {
        let deadline = self.deadline?;
        (Instant::now() >= deadline.at).then_some(deadline.after)
    }
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Signal(name) => write!(f, "stopped by {name}"),
            Self::Timeout(after) => write!(f, "stopped by --timeout {}", after.as_secs()),
            Self::Asked => f.write_str("stopped"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_what_raised_it() {
        let stop = Stop::default();
        assert_eq!((stop.is_raised(), stop.reason()), (false, None));
        let late = stop.clone().with_timeout(Duration::ZERO);
        assert!(late.is_raised());
        assert_eq!(late.reason(), Some(StopReason::Timeout(Duration::ZERO)));
        let soon = stop.clone().with_timeout(Duration::from_secs(3600));
        assert!(!soon.is_raised());
        stop.raise();
        assert_eq!(soon.reason(), Some(StopReason::Asked));
        assert!(!Stop::default().with_timeout(Duration::MAX).is_raised());
    }
}
