// SPDX-License-Identifier: MIT OR Apache-2.0
//! The analyst's side: takes images from whoever knows the secret.

use crate::claim::Claims;
use crate::identity::Identity;
use crate::run_id::RunId;
use crate::secret::Token;
use crate::serving::Serving;
use crate::store::Store;
use crate::tls;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustls::ServerConfig;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::Builder;
use std::time::{Duration, Instant};

/// Connections at once, at most. Each takes a thread and less than a MiB.
const MOST_CONNECTIONS: usize = 256;

/// Of them, those that have not shown the secret yet.
pub(crate) const MOST_STRANGERS: usize = 64;

/// How often the end is looked for.
const LOOK: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 100_000_000,
};

/// For how long the sender of the only image may come again for its receipt.
const LINGER: Duration = Duration::from_secs(60);

/// After an error of accept(2), such as too many open files.
const PAUSE: Duration = Duration::from_millis(100);

/// Who may send.
#[derive(Clone, Debug)]
pub struct Policy {
    /// What a sender must know.
    pub token: Token,
    /// Whether one image is all: its run keeps the secret for itself, and serving ends when it is
    /// complete.
    pub is_once: bool,
}

/// A socket that takes images.
pub struct Receiver {
    listener: TcpListener,
    config: Arc<ServerConfig>,
    policy: Policy,
    pub(crate) claims: Claims,
    /// The run that has the secret for itself.
    only: Mutex<Option<RunId>>,
    connections: AtomicUsize,
    pub(crate) strangers: AtomicUsize,
    /// When the only run, which is complete, is no longer waited for.
    done: Mutex<Option<Instant>>,
}

impl Receiver {
    /// Listens at `address` with the key of `identity`.
    ///
    /// # Errors
    /// If the address cannot be had.
    pub fn bind(address: SocketAddr, identity: &Identity, policy: Policy) -> io::Result<Self> {
        let config = tls::server_config(identity).map_err(io::Error::other)?;
        Ok(Self {
            listener: TcpListener::bind(address)?,
            config,
            policy,
            claims: Claims::default(),
            only: Mutex::new(None),
            connections: AtomicUsize::new(0),
            strangers: AtomicUsize::new(0),
            done: Mutex::new(None),
        })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// The system's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Takes images into `store` until `is_stopped`, or until the only one is complete. Then
    /// waits for what is being received; a sender that is cut off keeps what is not on the disk.
    ///
    /// # Errors
    /// If nobody can connect any more.
    pub fn serve(
        &self,
        store: &dyn Store,
        is_stopped: &(dyn Fn() -> bool + Sync),
    ) -> io::Result<()> {
        self.listener.set_nonblocking(true)?;
        let ended = &|| is_stopped() || self.is_done();
        std::thread::scope(|scope| {
            while !ended() {
                let Some((socket, peer)) = self.accept(store)? else {
                    continue;
                };
                let Some(seat) = self.seat() else {
                    store.turned_away(peer, "too many connections");
                    continue;
                };
                let spawned =
                    Builder::new()
                        .name("receive".to_owned())
                        .spawn_scoped(scope, move || {
                            let _seat = seat;
                            Serving {
                                receiver: self,
                                store,
                                peer,
                                is_ended: ended,
                            }
                            .serve(socket);
                        });
                if let Err(error) = spawned {
                    store.turned_away(peer, &format!("starting a thread: {error}"));
                }
            }
            Ok(())
        })
    }

    fn accept(&self, store: &dyn Store) -> io::Result<Option<(TcpStream, SocketAddr)>> {
        let mut polled = [PollFd::new(&self.listener, PollFlags::IN)];
        match poll(&mut polled, Some(&LOOK)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => return Ok(None),
            Ok(_) => {}
            Err(errno) => return Err(errno.into()),
        }
        match self.listener.accept() {
            Ok((socket, peer)) => {
                // Whether a connection inherits this differs between systems.
                socket.set_nonblocking(false)?;
                Ok(Some((socket, peer)))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            // The peer has gone again, or the system lacks something just now.
            Err(error) => {
                if let Ok(own) = self.local_addr() {
                    store.turned_away(own, &format!("accepting a connection: {error}"));
                }
                std::thread::sleep(PAUSE);
                Ok(None)
            }
        }
    }

    fn seat(&self) -> Option<Seat<'_>> {
        let before = self.connections.fetch_add(1, Ordering::Relaxed);
        let seat = Seat(&self.connections);
        (before < MOST_CONNECTIONS).then_some(seat)
    }

    pub(crate) fn config(&self) -> &Arc<ServerConfig> {
        &self.config
    }

    /// Whether whoever knows `token` may send `run`.
    pub(crate) fn lets_in(&self, token: &Token, run: RunId) -> Result<(), &'static str> {
        if *token != self.policy.token {
            return Err("its token is wrong: copy the line that this receiver printed last");
        }
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

    fn is_done(&self) -> bool {
        self.done().is_some_and(|done| Instant::now() >= done)
    }

    fn done(&self) -> MutexGuard<'_, Option<Instant>> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One of a number that is limited.
pub(crate) struct Seat<'a>(pub(crate) &'a AtomicUsize);

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
