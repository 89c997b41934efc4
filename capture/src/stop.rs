// SPDX-License-Identifier: MIT OR Apache-2.0
//! Ending a run early.

use linpmem_phys::num::u32_as_usize;
use procfs::process::Process;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const SIGNALS: [(i32, &str); 3] = [(SIGINT, "SIGINT"), (SIGTERM, "SIGTERM"), (SIGHUP, "SIGHUP")];

/// A request to end the run: by a signal, a timeout or the caller. Every loop checks it.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    raised: Arc<AtomicBool>,
    /// The number of the signal that raised it, or 0.
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
    /// The timeout of the run.
    Timeout(Duration),
    /// The caller.
    Asked,
}

impl Stop {
    /// Raised by the first SIGINT, SIGTERM or SIGHUP. The second one ends the
    /// process at once, with exit code 1. Those that were ignored when the program began
    /// stay so: that is how nohup protects a run from the end of its terminal.
    ///
    /// A file that becomes too large is an error of the write, and no signal.
    ///
    /// # Errors
    /// If the signal handlers cannot be installed.
    pub fn on_signals() -> io::Result<Self> {
        let stop = Self::default();
        signal_hook::flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)))?;
        let ignored = ignored_signals();
        for (signal, _) in SIGNALS {
            if signal != SIGTERM && ignored & (1 << (index(signal) - 1)) != 0 {
                continue;
            }
            // In this order, so that the first signal does not end the process.
            signal_hook::flag::register_conditional_shutdown(signal, 1, Arc::clone(&stop.raised))?;
            signal_hook::flag::register_usize(signal, Arc::clone(&stop.signal), index(signal))?;
            signal_hook::flag::register(signal, Arc::clone(&stop.raised))?;
        }
        Ok(stop)
    }

    /// Raised this long `after` now, too.
    #[must_use]
    pub fn with_timeout(self, after: Duration) -> Self {
        // A moment that the clock cannot represent never comes.
        let deadline = Instant::now().checked_add(after);
        Self {
            deadline: deadline.map(|at| Deadline { at, after }),
            ..self
        }
    }

    /// Requests the end.
    pub fn raise(&self) {
        self.raised.store(true, Ordering::Relaxed);
    }

    /// Whether the end was requested.
    #[must_use]
    pub fn is_raised(&self) -> bool {
        self.raised.load(Ordering::Relaxed) || self.expired().is_some()
    }

    /// What raised it, if it is raised.
    #[must_use]
    pub fn reason(&self) -> Option<StopReason> {
        let caught = self.signal.load(Ordering::Relaxed);
        let signal = SIGNALS.iter().find(|&&(signal, _)| index(signal) == caught);
        if let Some(&(_, name)) = signal {
            return Some(StopReason::Signal(name));
        }
        if self.raised.load(Ordering::Relaxed) {
            return Some(StopReason::Asked);
        }
        self.expired().map(StopReason::Timeout)
    }

    fn expired(&self) -> Option<Duration> {
        let deadline = self.deadline?;
        (Instant::now() >= deadline.at).then_some(deadline.after)
    }
}

/// The signals that this process ignores, a bit each; none if that is unknown.
fn ignored_signals() -> u64 {
    let status = Process::myself().and_then(|me| me.status());
    status.map_or(0, |status| status.sigign)
}

/// Signals have positive numbers.
const fn index(signal: i32) -> usize {
    u32_as_usize(signal.unsigned_abs())
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
    fn the_reason_is_what_raised_it() {
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
