// SPDX-License-Identifier: MIT OR Apache-2.0
//! Brings what was received to the disk, beside the thread that receives.

use super::files::Files;
use super::standing::Standing;
use crossbeam_channel::{Sender, bounded};
use linpmem_remote::Wake;
use std::fs::File;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};

/// A thread that syncs the files of one run.
pub(super) struct Syncing {
    requests: Option<Sender<Request>>,
    state: Arc<Mutex<State>>,
    /// Is woken when something has been brought to the disk, or could not.
    done: Arc<Wake>,
    thread: Option<JoinHandle<()>>,
}

struct Request {
    standing: Standing,
    /// The file with artifacts, which comes late.
    artifacts: Option<File>,
}

struct State {
    /// The first number that is not on the disk.
    durable: u64,
    is_busy: bool,
    failed: Option<String>,
}

impl Syncing {
    pub(super) fn start(files: &Files) -> io::Result<Self> {
        let image = files.image.partial.file().try_clone()?;
        let manifest = files.manifest.partial.file().try_clone()?;
        let kept = files.standing.try_clone()?;
        let state = Arc::new(Mutex::new(State {
            durable: files.next(),
            is_busy: false,
            failed: None,
        }));
        let (requests, asked) = bounded::<Request>(1);
        let done = Arc::new(Wake::new()?);
        let (shared, wake) = (Arc::clone(&state), Arc::clone(&done));
        let thread = Builder::new().name("sync".to_owned()).spawn(move || {
            let mut slot = Standing::free_slot(&kept);
            for request in asked {
                let synced = image.sync_data().and_then(|()| manifest.sync_data());
                let artifacts = request.artifacts.as_ref();
                let synced = synced
                    .and_then(|()| artifacts.map_or(Ok(()), File::sync_data))
                    .and_then(|()| request.standing.write(&kept, slot));
                slot = 1 - slot;
                let mut state = lock(&shared);
                state.is_busy = false;
                match synced {
                    Ok(()) => state.durable = request.standing.next,
                    Err(error) => state.failed = Some(error.to_string()),
                }
                drop(state);
                wake.wake();
            }
        })?;
        Ok(Self {
            requests: Some(requests),
            state,
            done,
            thread: Some(thread),
        })
    }

    /// The first number that is not on the disk.
    pub(super) fn durable(&self) -> Result<u64, String> {
        let state = lock(&self.state);
        match &state.failed {
            Some(reason) => Err(reason.clone()),
            None => Ok(state.durable),
        }
    }

    /// Is woken when something has been brought to the disk, or could not.
    pub(super) const fn done(&self) -> &Arc<Wake> {
        &self.done
    }

    /// Whether it has something to do.
    pub(super) fn is_busy(&self) -> bool {
        lock(&self.state).is_busy
    }

    /// Brings everything that `files` have now to the disk. Only when it is not busy.
    pub(super) fn sync(&self, files: &Files) -> io::Result<()> {
        let artifacts = files.artifacts.as_ref();
        let request = Request {
            standing: files.now(),
            artifacts: artifacts
                .map(|growing| growing.partial.file().try_clone())
                .transpose()?,
        };
        lock(&self.state).is_busy = true;
        if let Some(requests) = &self.requests {
            // The thread ends with this.
            let _ = requests.send(request);
        }
        Ok(())
    }

    /// Waits until it has nothing to do any more.
    pub(super) fn end(mut self) -> Result<u64, String> {
        self.join();
        self.durable()
    }

    fn join(&mut self) {
        self.requests.take();
        if let Some(thread) = self.thread.take() {
            // What it did is in the state.
            let _ = thread.join();
        }
    }
}

impl Drop for Syncing {
    fn drop(&mut self) {
        self.join();
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::super::files::{Files, Found};
    use super::super::name::Names;
    use super::*;
    use crate::sink::Limits;
    use linpmem_remote::{Hello, RunId, Stream};
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    /// A sender waits for the word about its bytes, and the receiver's thread for this.
    #[test]
    fn whoever_waits_is_woken_when_something_is_on_the_disk() {
        let folder = tempfile::tempdir().unwrap();
        let hello = Hello {
            run: RunId::generate().unwrap(),
            host: "host".to_owned(),
            started: "20260131T000000Z".to_owned(),
            extension: "raw".to_owned(),
            planned_bytes: 4096,
        };
        let names = Names::of(&hello).unwrap();
        let found = Files::open(folder.path(), &names, &hello, Limits::default());
        let Ok(Found::Running(mut files)) = found else {
            panic!("the files of the run could not be created");
        };
        let syncing = Syncing::start(&files).unwrap();
        let is_woken = |seconds| {
            let mut polled = [PollFd::new(syncing.done(), PollFlags::IN)];
            let time = Timespec {
                tv_sec: seconds,
                tv_nsec: 0,
            };
            poll(&mut polled, Some(&time)).unwrap() == 1
        };
        files.data(Stream::Image, &[7; 4096]).unwrap();
        assert!(!is_woken(0));
        assert_eq!(syncing.durable(), Ok(0));
        syncing.sync(&files).unwrap();
        assert!(is_woken(60));
        assert_eq!(syncing.durable(), Ok(1));
    }
}
