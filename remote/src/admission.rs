// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who is let in, and how many at once.

use crate::claim::Claims;
use crate::run_id::RunId;
use crate::secret::Token;
use rustls::ServerConfig;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Connections at once, at most. Each takes a thread and less than a MiB.
const MOST_CONNECTIONS: usize = 256;

/// Of them, those that have not shown the secret yet.
const MOST_STRANGERS: usize = 64;

/// For how long the sender of the only image may come again for its receipt.
const LINGER: Duration = Duration::from_secs(60);

/// Who may send.
#[derive(Clone, Debug)]
pub struct Policy {
    /// What a sender must know.
    pub token: Token,
    /// Whether one image is all: its run keeps the secret for itself, and serving ends when it is
    /// complete.
    pub is_once: bool,
}

/// What all connections of a receiver share.
pub(crate) struct Admission {
    pub(crate) config: Arc<ServerConfig>,
    pub(crate) claims: Claims,
    policy: Policy,
    /// The run that has the secret for itself.
    only: Mutex<Option<RunId>>,
    connections: AtomicUsize,
    strangers: AtomicUsize,
    /// When the only run, which is complete, is no longer waited for.
    done: Mutex<Option<Instant>>,
}

/// One of a number that is limited.
pub(crate) struct Seat<'a>(&'a AtomicUsize);

impl Admission {
    pub(crate) fn new(config: Arc<ServerConfig>, policy: Policy) -> Self {
        Self {
            config,
            claims: Claims::default(),
            policy,
            only: Mutex::new(None),
            connections: AtomicUsize::new(0),
            strangers: AtomicUsize::new(0),
            done: Mutex::new(None),
        }
    }

    /// A place for a connection; `None` if there are too many.
    pub(crate) fn connection(&self) -> Option<Seat<'_>> {
        Seat::take(&self.connections, MOST_CONNECTIONS)
    }

    /// A place for one that has not shown the secret.
    pub(crate) fn stranger(&self) -> Option<Seat<'_>> {
        Seat::take(&self.strangers, MOST_STRANGERS)
    }

    /// Whether whoever knows `token` may ask how fast the line is. That uses up nothing.
    pub(crate) fn knows(&self, token: &Token) -> Result<(), &'static str> {
        match *token == self.policy.token {
            true => Ok(()),
            false => Err("its token is wrong: copy the line that this receiver printed last"),
        }
    }

    /// Whether whoever knows `token` may send `run`.
    pub(crate) fn lets_in(&self, token: &Token, run: RunId) -> Result<(), &'static str> {
        self.knows(token)?;
        if self.policy.is_once {
            let mut only = self.only.lock().unwrap_or_else(PoisonError::into_inner);
            if *only.get_or_insert(run) != run {
                return Err(
                    "its token was used already: this receiver takes one image (--once), and it \
                     is another sender's",
                );
            }
        }
        Ok(())
    }

    /// A run is complete. If its sender has not heard so, it will come again for the receipt.
    pub(crate) fn completed(&self, is_heard: bool) {
        if self.policy.is_once {
            let wait = if is_heard { Duration::ZERO } else { LINGER };
            *self.done() = Some(Instant::now() + wait);
        }
    }

    /// Whether nothing more is to be received.
    pub(crate) fn is_done(&self) -> bool {
        self.done().is_some_and(|done| Instant::now() >= done)
    }

    fn done(&self) -> MutexGuard<'_, Option<Instant>> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<'a> Seat<'a> {
    fn take(count: &'a AtomicUsize, most: usize) -> Option<Self> {
        let before = count.fetch_add(1, Ordering::Relaxed);
        let seat = Self(count);
        (before < most).then_some(seat)
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
