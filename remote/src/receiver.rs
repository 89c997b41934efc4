// SPDX-License-Identifier: MIT OR Apache-2.0
//! The analyst's side: takes images from whoever knows the secret.

use crate::admission::{Admission, Policy};
use crate::identity::Identity;
use crate::serving::Serving;
use crate::store::Store;
use crate::tls;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::Builder;
use std::time::Duration;

/// How often the end is looked for.
const LOOK: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 100_000_000,
};

/// After an error of accept(2), such as too many open files.
const PAUSE: Duration = Duration::from_millis(100);

/// A socket that takes images.
pub struct Receiver {
    listener: TcpListener,
    admission: Admission,
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
            admission: Admission::new(config, policy),
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
        let ended = &|| is_stopped() || self.admission.is_done();
        std::thread::scope(|scope| {
            while !ended() {
                let Some((socket, peer)) = self.accept(store)? else {
                    continue;
                };
                let Some(seat) = self.admission.connection() else {
                    store.turned_away(peer, "too many connections");
                    continue;
                };
                let spawned =
                    Builder::new()
                        .name("receive".to_owned())
                        .spawn_scoped(scope, move || {
                            let _seat = seat;
                            Serving {
                                admission: &self.admission,
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
}
