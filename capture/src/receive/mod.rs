// SPDX-License-Identifier: MIT OR Apache-2.0
//! Images that other machines send, kept in a folder with the care that local images get.
//!
//! Nothing that a sender says becomes part of a path as it is, what it sends is limited as a local
//! image is, and an image gets its name when all sums are right. A run that breaks off goes on
//! where its disk ends, also after this program was started anew.

mod confirm;
mod files;
mod growing;
mod name;
mod session;
mod standing;
mod syncing;

use crate::clock::Moment;
use crate::events::Silent;
use crate::sink::Limits;
use files::Files;
use linpmem_phys::PhysLen;
use linpmem_remote::{
    Hello, Identity, Opened, Policy, Receipt, Receiver, Refusal, RunId, SignedReceipt, Store,
};
use name::Names;
use session::Receiving;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What happens to the images, for whoever waits for them.
pub trait ReceiveEvents: Send + Sync {
    /// An image begins to arrive, or goes on.
    fn begun(&self, arrival: &Arrival);

    /// An image is complete and verified, and has its name.
    fn complete(&self, arrival: &Arrival, receipt: &Receipt);

    /// A run ended early: the image keeps its working name.
    fn incomplete(&self, arrival: &Arrival, path: &Path);

    /// The connection of an image is gone; its sender may come again.
    fn lost(&self, host: &str, peer: SocketAddr, reason: &str);

    /// Somebody has measured the line with this many bytes, and sent no image.
    fn probed(&self, peer: SocketAddr, bytes: u64);

    /// Somebody was turned away.
    fn turned_away(&self, peer: SocketAddr, reason: &str);
}

impl ReceiveEvents for Silent {
    fn begun(&self, _: &Arrival) {}
    fn complete(&self, _: &Arrival, _: &Receipt) {}
    fn incomplete(&self, _: &Arrival, _: &Path) {}
    fn lost(&self, _: &str, _: SocketAddr, _: &str) {}
    fn probed(&self, _: SocketAddr, _: u64) {}
    fn turned_away(&self, _: SocketAddr, _: &str) {}
}

/// An image that arrives.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// What its machine calls itself. Not checked.
    pub host: String,
    /// Where the connection comes from.
    pub peer: SocketAddr,
    /// The image's final name.
    pub image: PathBuf,
    /// Memory that will be read there. Not checked.
    pub planned_bytes: u64,
    /// Bytes of the image so far.
    pub image_bytes: u64,
}

/// A folder that takes images.
pub struct ReceiveFolder {
    shared: Arc<Shared>,
}

struct Shared {
    folder: PathBuf,
    identity: Identity,
    limits: Limits,
    events: Box<dyn ReceiveEvents>,
    arrivals: Mutex<HashMap<RunId, (Arrival, Arc<AtomicU64>)>>,
}

impl ReceiveFolder {
    /// Keeps images in `folder` within `limits`, and signs receipts with `identity`.
    #[must_use]
    pub fn new(
        folder: PathBuf,
        identity: Identity,
        limits: Limits,
        events: Box<dyn ReceiveEvents>,
    ) -> Self {
        Self {
            shared: Arc::new(Shared {
                folder,
                identity,
                limits,
                events,
                arrivals: Mutex::default(),
            }),
        }
    }

    /// A socket at `address` for it.
    ///
    /// # Errors
    /// If the address cannot be had.
    pub fn bind(&self, address: SocketAddr, policy: Policy) -> std::io::Result<Receiver> {
        Receiver::bind(address, &self.shared.identity, policy)
    }

    /// What arrives now, by name.
    #[must_use]
    pub fn arrivals(&self) -> Vec<Arrival> {
        let arrivals = self.shared.arrivals();
        let mut now: Vec<_> = arrivals
            .values()
            .map(|(arrival, bytes)| Arrival {
                image_bytes: bytes.load(Ordering::Relaxed),
                ..arrival.clone()
            })
            .collect();
        now.sort_by(|left, right| left.image.cmp(&right.image));
        now
    }
}

impl Shared {
    fn arrivals(&self) -> MutexGuard<'_, HashMap<RunId, (Arrival, Arc<AtomicU64>)>> {
        self.arrivals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The receipt for `receipt`, which is kept at `path`.
    fn sign(&self, receipt: &Receipt) -> std::io::Result<SignedReceipt> {
        receipt.signed(|bytes| self.identity.sign(bytes))
    }
}

impl Store for ReceiveFolder {
    fn open(&self, hello: &Hello, peer: SocketAddr) -> Result<Opened, Refusal> {
        let shared = &self.shared;
        let names = Names::of(hello)?;
        let files = match Files::open(&shared.folder, &names, hello, shared.limits)? {
            files::Found::Done(receipt) => return Ok(Opened::Done(receipt)),
            files::Found::Running(files) => *files,
        };
        let next = files.next();
        let image = files.image_name();
        let arrival = Arrival {
            host: hello.host.clone(),
            peer,
            image: files.image_path().to_path_buf(),
            planned_bytes: hello.planned_bytes,
            image_bytes: files.image_bytes(),
        };
        let bytes = Arc::new(AtomicU64::new(arrival.image_bytes));
        shared.events.begun(&arrival);
        shared
            .arrivals()
            .insert(hello.run, (arrival.clone(), Arc::clone(&bytes)));
        let session = Receiving::new(Arc::clone(shared), hello.run, arrival, bytes, files)?;
        Ok(Opened::Running {
            image,
            next,
            session: Box::new(session),
        })
    }

    fn turned_away(&self, peer: SocketAddr, reason: &str) {
        self.shared.events.turned_away(peer, reason);
    }

    fn probed(&self, peer: SocketAddr, bytes: u64) {
        self.shared.events.probed(peer, bytes);
    }

    fn lost(&self, hello: &Hello, peer: SocketAddr, reason: &str) {
        self.shared.events.lost(&hello.host, peer, reason);
    }
}

/// The time now, for a receipt.
fn now() -> String {
    Moment::now().stamp().utc
}

/// A refusal because of the disk.
fn refused(what: &str, error: impl std::fmt::Display) -> Refusal {
    Refusal::new(format!("{what}: {error}"))
}

/// A thread of this program's panicked.
fn bug() -> Refusal {
    Refusal::new("the receiver failed; this is a bug in it")
}

/// No more than this is ever announced.
const MOST_PLANNED: PhysLen = PhysLen::new(1 << 52);

#[cfg(test)]
mod tests {
    use super::*;
    use linpmem_remote::Stream;

    #[test]
    fn a_hole_makes_no_file_long_but_an_image() {
        let folder = tempfile::tempdir().unwrap();
        let limits = Limits {
            max_size: Some(PhysLen::new(1 << 20)),
            min_free: PhysLen::ZERO,
        };
        let identity = Identity::generate().unwrap();
        let path = folder.path().to_path_buf();
        let receiver = ReceiveFolder::new(path, identity, limits, Box::new(Silent));
        let hello = Hello {
            run: RunId::generate().unwrap(),
            host: "a".to_owned(),
            started: "20260131T000000Z".to_owned(),
            extension: "core".to_owned(),
            planned_bytes: 4096,
        };
        let opened = receiver.open(&hello, "127.0.0.1:1".parse().unwrap());
        let Ok(Opened::Running { mut session, .. }) = opened else {
            panic!("it is not taken");
        };
        session.zeros(Stream::Image, 1 << 20).unwrap();
        assert!(session.zeros(Stream::Image, 1).is_err());
        for stream in [Stream::Manifest, Stream::Artifacts] {
            assert!(session.zeros(stream, 1 << 40).is_err());
        }
        for entry in std::fs::read_dir(folder.path()).unwrap() {
            let length = entry.unwrap().metadata().unwrap().len();
            assert!(length <= 1 << 20, "{length}");
        }
    }
}
