// SPDX-License-Identifier: MIT OR Apache-2.0
//! One image that arrives over one connection.

use super::confirm::{check_lengths, confirm};
use super::files::Files;
use super::syncing::Syncing;
use super::{Arrival, Shared, bug, refused};
use linpmem_remote::{Finish, Refusal, RunId, Session, SignedReceipt, Stream, Wake};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What is not on the disk yet is brought there when it is this much,
const SYNC_BYTES: u64 = 2 << 20;

/// or this old.
const SYNC_AFTER: Duration = Duration::from_millis(200);

/// How often the sender is told that this side is alive.
const BEAT: Duration = Duration::from_secs(1);

pub(super) struct Receiving {
    shared: Arc<Shared>,
    run: RunId,
    arrival: Arrival,
    bytes: Arc<AtomicU64>,
    files: Option<Files>,
    syncing: Option<Syncing>,
    progress: Arc<Wake>,
    /// Bytes that were not given to be synced yet.
    unsynced: u64,
    synced: Instant,
    /// The first number that was not given to be synced yet.
    asked: u64,
}

impl Receiving {
    pub(super) fn new(
        shared: Arc<Shared>,
        run: RunId,
        arrival: Arrival,
        bytes: Arc<AtomicU64>,
        files: Files,
    ) -> Result<Self, Refusal> {
        let syncing = Syncing::start(&files);
        let syncing = syncing.map_err(|error| refused("starting a thread", error))?;
        let asked = files.next();
        Ok(Self {
            shared,
            run,
            arrival,
            bytes,
            progress: Arc::clone(syncing.done()),
            syncing: Some(syncing),
            files: Some(files),
            unsynced: 0,
            synced: Instant::now(),
            asked,
        })
    }

    fn files(&mut self) -> Result<&mut Files, Refusal> {
        self.files.as_mut().ok_or_else(over)
    }

    fn counted(&mut self, len: u64) {
        self.unsynced = self.unsynced.saturating_add(len);
        if let Some(files) = &self.files {
            self.bytes.store(files.image_bytes(), Ordering::Relaxed);
        }
    }
}

impl Session for Receiving {
    fn data(&mut self, stream: Stream, bytes: &[u8]) -> Result<(), Refusal> {
        self.files()?.data(stream, bytes)?;
        self.counted(linpmem_phys::num::len_bytes(bytes));
        Ok(())
    }

    fn zeros(&mut self, stream: Stream, len: u64) -> Result<(), Refusal> {
        self.files()?.zeros(stream, len)?;
        self.counted(0);
        Ok(())
    }

    fn durable(&mut self) -> Result<u64, Refusal> {
        let (Some(files), Some(syncing)) = (&self.files, &self.syncing) else {
            return Err(over());
        };
        let is_due = self.unsynced >= SYNC_BYTES || self.synced.elapsed() >= SYNC_AFTER;
        if files.next() > self.asked && is_due && !syncing.is_busy() {
            syncing
                .sync(files)
                .map_err(|error| refused("syncing to the disk", error))?;
            (self.asked, self.unsynced, self.synced) = (files.next(), 0, Instant::now());
        }
        syncing
            .durable()
            .map_err(|reason| refused("syncing to the disk", reason))
    }

    fn progress(&self) -> &Arc<Wake> {
        &self.progress
    }

    fn finish(
        &mut self,
        finish: &Finish,
        alive: &mut dyn FnMut(),
    ) -> Result<SignedReceipt, Refusal> {
        let files = self.files()?;
        check_lengths(files, finish)?;
        let (files, syncing) = match (&self.files, self.syncing.take()) {
            (Some(files), Some(syncing)) => (files, syncing),
            _ => return Err(over()),
        };
        let (run, shared) = (self.run, &self.shared);
        let confirmed = std::thread::scope(|scope| {
            let confirming = scope.spawn(move || {
                while syncing.is_busy() {
                    std::thread::sleep(Duration::from_millis(1));
                }
                syncing
                    .sync(files)
                    .map_err(|error| refused("syncing to the disk", error))?;
                syncing
                    .end()
                    .map_err(|reason| refused("syncing to the disk", reason))?;
                confirm(files, run, finish, |receipt| shared.sign(receipt))
            });
            let mut told = Instant::now();
            while !confirming.is_finished() {
                std::thread::sleep(Duration::from_millis(2));
                if told.elapsed() >= BEAT {
                    alive();
                    told = Instant::now();
                }
            }
            confirming.join().unwrap_or_else(|_| Err(bug()))
        })?;
        let files = self.files.take().ok_or_else(over)?;
        if finish.is_whole {
            files
                .commit(&confirmed)
                .map_err(|error| refused("naming the image", error))?;
            self.shared
                .events
                .complete(&self.arrival, &confirmed.receipt);
        } else {
            let path = files.keep_incomplete(&confirmed);
            self.shared.events.incomplete(&self.arrival, &path);
        }
        Ok(confirmed.answer)
    }
}

impl Drop for Receiving {
    fn drop(&mut self) {
        // What can be resumed is what was synced; the files are left to that.
        let durable = self.syncing.take().map(Syncing::end);
        let is_begun = !matches!(durable, Some(Ok(0)));
        if let Some(files) = self.files.take() {
            files.leave(is_begun);
        }
        self.shared.arrivals().remove(&self.run);
    }
}

fn over() -> Refusal {
    Refusal::new("the image is complete already")
}
