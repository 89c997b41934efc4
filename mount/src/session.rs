// SPDX-License-Identifier: MIT OR Apache-2.0
//! A mounted image, from the mount to the last request.

use crate::device::{self, MountPoint};
use crate::error::MountError;
use crate::fixed::Fixed;
use crate::live::Live;
use crate::serve::{Served, Stamp};
use fuser::{Config, Session, SessionACL};
use std::io;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::{Duration, SystemTime};

/// Threads that answer requests: they wait for the disk or unpack, and more would not be faster.
const MAX_THREADS: usize = 8;

/// A mounted image. Requests are answered by threads until somebody unmounts it; dropping this
/// changes nothing.
#[derive(Debug)]
pub struct Mounted {
    at: MountPoint,
    ended: Receiver<io::Result<()>>,
}

impl Mounted {
    /// Checks that an image can be mounted on `folder`.
    ///
    /// # Errors
    /// If there is no such folder, or something is in it.
    pub fn check(folder: &Path) -> Result<(), MountError> {
        device::check(folder).map(drop)
    }

    /// Mounts on `folder` what `fixed` has, and, if the kernel was found, what `live` has. Lists
    /// of mounts show it as `shown`; files have the `time`. Only the user who runs this sees them.
    ///
    /// # Errors
    /// If the folder is not as it has to be, or the kernel refuses.
    pub fn new(
        fixed: Fixed,
        live: Option<Live>,
        folder: &Path,
        shown: &str,
        time: SystemTime,
    ) -> Result<Self, MountError> {
        let folder = device::check(folder)?;
        let served = Served {
            fixed,
            live,
            stamp: Stamp {
                uid: rustix::process::getuid().as_raw(),
                gid: rustix::process::getgid().as_raw(),
                time,
            },
        };
        let mut config = Config::default();
        let processors = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        config.n_threads = Some(processors.saturating_add(1).min(MAX_THREADS));
        config.clone_fd = true;
        let requests = device::attach(&folder, shown)?;
        let failed = |source| {
            device::abandon(&folder);
            MountError::Session {
                folder: folder.clone(),
                source,
            }
        };
        let session = Session::from_fd(served, requests, SessionACL::Owner, config);
        let session = session.map_err(failed)?;
        let (end, ended) = sync_channel(1);
        let run = move || {
            // Nobody may wait for it any more.
            drop(end.send(session.run()));
        };
        let thread = thread::Builder::new().name("requests".to_owned());
        if let Err(error) = thread.spawn(run) {
            device::abandon(&folder);
            return Err(MountError::Thread(error));
        }
        let at = MountPoint::new(folder.clone()).map_err(failed)?;
        Ok(Self { at, ended })
    }

    /// Waits so long for the end: until somebody has unmounted the image, or requests can no
    /// longer be received. `None` if it is still mounted.
    #[must_use]
    pub fn wait(&self, time: Duration) -> Option<io::Result<()>> {
        match self.ended.recv_timeout(time) {
            Ok(ended) => Some(ended),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => Some(Ok(())),
        }
    }

    /// Unmounts the image, even where its files are open: reading them fails when the program
    /// has ended.
    ///
    /// # Errors
    /// If the kernel refuses, or something else is mounted there by now.
    pub fn unmount(&self) -> Result<(), MountError> {
        self.at.detach()
    }
}
