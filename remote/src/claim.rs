// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which connection a run has. One that comes again takes the place of the one before, which may
//! not have noticed yet that it is broken.

use crate::run_id::RunId;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long the connection before may take to notice.
const PATIENCE: Duration = Duration::from_secs(20);

/// The runs that are being received.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    runs: Mutex<HashMap<RunId, Arc<AtomicBool>>>,
    released: Condvar,
}

/// The right to receive a run.
#[derive(Debug)]
pub(crate) struct Claim<'a> {
    claims: &'a Claims,
    run: RunId,
    is_superseded: Arc<AtomicBool>,
}

impl Claims {
    /// Takes `run` over; `None` if the connection that has it does not let go of it.
    pub(crate) fn take(&self, run: RunId) -> Option<Claim<'_>> {
        let deadline = Instant::now() + PATIENCE;
        let mut runs = self.lock();
        while let Some(holder) = runs.get(&run) {
            holder.store(true, Ordering::Relaxed);
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            let waited = self.released.wait_timeout(runs, left);
            runs = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        let is_superseded = Arc::new(AtomicBool::new(false));
        runs.insert(run, Arc::clone(&is_superseded));
        Some(Claim {
            claims: self,
            run,
            is_superseded,
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<RunId, Arc<AtomicBool>>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Claim<'_> {
    /// Whether another connection wants the run.
    pub(crate) fn is_superseded(&self) -> bool {
        self.is_superseded.load(Ordering::Relaxed)
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.claims.lock().remove(&self.run);
        self.claims.released.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn the_connection_that_came_last_has_the_run() {
        let claims = Claims::default();
        let (run, other) = (RunId::generate().unwrap(), RunId::generate().unwrap());
        let first = claims.take(run).unwrap();
        assert!(claims.take(other).is_some());
        thread::scope(|scope| {
            let second = scope.spawn(|| claims.take(run).is_some());
            while !first.is_superseded() {
                thread::yield_now();
            }
            assert!(!second.is_finished());
            drop(first);
            assert!(second.join().unwrap());
        });
    }
}
