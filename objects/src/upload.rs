// SPDX-License-Identifier: MIT OR Apache-2.0
//! An object of unknown length, in parts that are sent while the next ones come.
//!
//! A part stays in memory until the store has it, because memory is read once. So there are a
//! fixed number of buffers, and whoever brings bytes waits for a free one.

use crate::backend::{Backend, Kept, Limits, Part, Parts};
use crate::error::StoreError;
use crate::sums::Sums;
use std::collections::BTreeMap;
use std::mem;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};

/// How large parts are, and how many are on their way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartSizes {
    /// Bytes of each part but the last.
    pub part_bytes: usize,
    /// Parts that are sent at the same time.
    pub in_flight: usize,
    /// Parts of each object, before the next object is begun; `None` for an image that is one
    /// object.
    pub parts_per_object: Option<u32>,
}

/// An object that the store has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredObject {
    /// Its key.
    pub key: String,
    /// Bytes.
    pub length: u64,
    /// Bytes of each part but the last.
    pub part_bytes: u64,
    /// The SHA-256 of each part.
    pub sha256: Vec<[u8; 32]>,
    /// Whether each part is an object of its own, whose key has a number at its end.
    pub are_parts_objects: bool,
}

/// An image that is being stored.
pub struct Upload {
    shared: Arc<Shared>,
    sizes: PartSizes,
    filling: Vec<u8>,
    /// Of what is being filled.
    number: u32,
    offset: u64,
    object: usize,
    work: Option<Sender<Job>>,
    free: Receiver<Vec<u8>>,
    workers: Vec<JoinHandle<()>>,
}

struct Shared {
    backend: Arc<dyn Backend>,
    limits: Limits,
    key: String,
    is_numbered: bool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    objects: Vec<Object>,
    error: Option<StoreError>,
}

struct Object {
    key: String,
    parts: Arc<dyn Parts>,
    kept: BTreeMap<u32, Kept>,
    is_complete: bool,
}

impl Object {
    /// The parts up to the first one that is missing.
    fn kept(&self) -> impl Iterator<Item = &Kept> {
        let numbered = self.kept.iter().zip(0..);
        let first = numbered.take_while(|((found, _), number)| *found == number);
        first.map(|((_, kept), _)| kept)
    }
}

struct Job {
    object: usize,
    number: u32,
    offset: u64,
    bytes: Vec<u8>,
    is_last: bool,
}

impl Upload {
    /// Begins to store what comes under `key`.
    ///
    /// # Errors
    /// If the store does not take it.
    pub(crate) fn begin(
        backend: Arc<dyn Backend>,
        key: &str,
        sizes: PartSizes,
    ) -> Result<Self, StoreError> {
        let limits = backend.limits();
        let shared = Arc::new(Shared {
            is_numbered: sizes.parts_per_object.is_some(),
            key: key.to_owned(),
            limits,
            backend,
            state: Mutex::new(State::default()),
        });
        shared.begin_object(0)?;
        let in_flight = match limits.is_sequential {
            true => 1,
            false => sizes.in_flight.max(1),
        };
        let (work, jobs) = channel();
        let (give_back, free) = channel();
        let jobs = Arc::new(Mutex::new(jobs));
        let mut workers = Vec::new();
        for _ in 0..in_flight {
            let worker = Worker {
                shared: Arc::clone(&shared),
                jobs: Arc::clone(&jobs),
                give_back: give_back.clone(),
            };
            let thread = Builder::new()
                .name("store".to_owned())
                .spawn(move || worker.run())
                .map_err(StoreError::machine("starting a thread"))?;
            workers.push(thread);
            // Memory is taken when it is needed.
            let _ = give_back.send(Vec::new());
        }
        Ok(Self {
            shared,
            sizes,
            filling: Vec::new(),
            number: 0,
            offset: 0,
            object: 0,
            work: Some(work),
            free,
            workers,
        })
    }

    /// Appends `bytes`. Waits as long as all buffers are on their way.
    ///
    /// # Errors
    /// If a part could not be stored.
    pub fn bytes(&mut self, mut bytes: &[u8]) -> Result<(), StoreError> {
        while !bytes.is_empty() {
            self.make_room()?;
            let room = self.sizes.part_bytes - self.filling.len();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.filling.extend_from_slice(now);
            bytes = later;
        }
        self.shared.check()
    }

    /// Appends `len` zero bytes.
    ///
    /// # Errors
    /// If a part could not be stored.
    pub fn zeros(&mut self, mut len: u64) -> Result<(), StoreError> {
        while len > 0 {
            self.make_room()?;
            let room = self.sizes.part_bytes - self.filling.len();
            let now = usize::try_from(len).unwrap_or(usize::MAX).min(room);
            self.filling.resize(self.filling.len() + now, 0);
            len -= u64::try_from(now).unwrap_or(len);
        }
        self.shared.check()
    }

    /// Sends what is left, and waits until the store has all parts.
    ///
    /// # Errors
    /// If a part could not be stored.
    pub fn drain(&mut self) -> Result<(), StoreError> {
        if self.work.is_some() {
            // A store may want to know the last one, and an object has one part at least.
            self.hand_over(true)?;
            self.work = None;
        }
        for worker in self.workers.drain(..) {
            // What went wrong is in the state.
            let _ = worker.join();
        }
        self.shared.check()
    }

    /// The objects so far, after [`drain`](Self::drain).
    #[must_use]
    pub fn objects(&self) -> Vec<StoredObject> {
        let state = self.shared.state();
        let stored = |object: &Object| StoredObject {
            key: object.key.clone(),
            length: object.kept().map(|part| part.length).sum(),
            part_bytes: u64::try_from(self.sizes.part_bytes).unwrap_or(u64::MAX),
            sha256: object.kept().map(|part| part.sha256).collect(),
            are_parts_objects: self.shared.limits.are_parts_objects,
        };
        state.objects.iter().map(stored).collect()
    }

    /// Makes objects of the parts, after [`drain`](Self::drain).
    ///
    /// # Errors
    /// If the store does not.
    pub fn complete(&self) -> Result<(), StoreError> {
        let todo: Vec<_> = {
            let state = self.shared.state();
            let open = state.objects.iter().enumerate();
            let open = open.filter(|(_, object)| !object.is_complete);
            open.map(|(index, object)| {
                let kept: Vec<Kept> = object.kept().cloned().collect();
                (index, Arc::clone(&object.parts), kept)
            })
            .collect()
        };
        for (index, parts, kept) in todo {
            parts.complete(&kept)?;
            if let Some(object) = self.shared.state().objects.get_mut(index) {
                object.is_complete = true;
            }
        }
        Ok(())
    }

    /// How the user removes what is not complete.
    #[must_use]
    pub fn leftovers(&self) -> Vec<String> {
        let state = self.shared.state();
        let open = state.objects.iter().filter(|object| !object.is_complete);
        open.filter_map(|object| object.parts.leftover()).collect()
    }

    /// Removes what is not complete. Returns how the user removes what could not be.
    pub fn abort(&mut self) -> Vec<String> {
        self.work = None;
        self.shared.fail(StoreError::Ended);
        for worker in self.workers.drain(..) {
            let _ = worker.join();
        }
        let open: Vec<Arc<dyn Parts>> = {
            let state = self.shared.state();
            let open = state.objects.iter().filter(|object| !object.is_complete);
            open.map(|object| Arc::clone(&object.parts)).collect()
        };
        let failed = open.iter().filter(|parts| parts.abort().is_err());
        failed.filter_map(|parts| parts.leftover()).collect()
    }

    fn make_room(&mut self) -> Result<(), StoreError> {
        self.shared.check()?;
        if self.filling.capacity() < self.sizes.part_bytes {
            // All at once: growing would take half as much again for a moment.
            let missing = self.sizes.part_bytes - self.filling.len();
            self.filling.reserve_exact(missing);
        }
        match self.filling.len() < self.sizes.part_bytes {
            true => Ok(()),
            false => self.hand_over(false),
        }
    }

    fn hand_over(&mut self, is_last: bool) -> Result<(), StoreError> {
        let limit = self.sizes.parts_per_object;
        if limit.is_none() && self.number >= self.shared.limits.parts_at_last() {
            return Err(self.shared.limits.most_image_bytes().map_or_else(
                || StoreError::TooManyParts {
                    most: self.number,
                    part_bytes: u64::try_from(self.sizes.part_bytes).unwrap_or(u64::MAX),
                },
                |most| StoreError::TooLarge {
                    bytes: most.saturating_add(1),
                    most,
                },
            ));
        }
        let ends_object = limit.is_some_and(|most| self.number + 1 >= most);
        // The last buffer that comes free, or the end of all workers.
        let Ok(mut free) = self.free.recv() else {
            self.shared.check()?;
            return Err(StoreError::Ended);
        };
        free.clear();
        let bytes = mem::replace(&mut self.filling, free);
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let job = Job {
            object: self.object,
            number: self.number,
            offset: self.offset,
            bytes,
            is_last: is_last || ends_object,
        };
        let sent = self.work.as_ref().map(|work| work.send(job));
        if sent.is_some_and(|sent| sent.is_err()) {
            self.shared.check()?;
        }
        self.number += 1;
        self.offset += length;
        if ends_object && !is_last {
            self.object += 1;
            self.number = 0;
            self.offset = 0;
            self.shared.begin_object(self.object)?;
        }
        Ok(())
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        self.work = None;
        self.shared.fail(StoreError::Ended);
        for worker in self.workers.drain(..) {
            let _ = worker.join();
        }
        // An upload that was begun and got nothing costs, and is good for nothing.
        let state = self.shared.state();
        let open = state.objects.iter().filter(|object| !object.is_complete);
        for object in open.filter(|object| object.kept.is_empty()) {
            let _ = object.parts.abort();
        }
    }
}

impl Shared {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin_object(&self, index: usize) -> Result<(), StoreError> {
        let key = match self.is_numbered {
            true => numbered(&self.key, index),
            false => self.key.clone(),
        };
        let parts = Arc::from(self.backend.begin(&key)?);
        self.state().objects.push(Object {
            key,
            parts,
            kept: BTreeMap::new(),
            is_complete: false,
        });
        Ok(())
    }

    fn check(&self) -> Result<(), StoreError> {
        match &self.state().error {
            Some(error) => Err(error.clone()),
            None => Ok(()),
        }
    }

    /// The first error is the one that counts.
    fn fail(&self, error: StoreError) {
        self.state().error.get_or_insert(error);
    }
}

/// The key of one of several objects, or of one of the parts that are objects.
pub(crate) fn numbered(key: &str, number: impl std::fmt::Display) -> String {
    format!("{key}.{number:0>5}")
}

/// Sends parts, one at a time.
struct Worker {
    shared: Arc<Shared>,
    jobs: Arc<Mutex<Receiver<Job>>>,
    give_back: Sender<Vec<u8>>,
}

impl Worker {
    fn run(&self) {
        loop {
            let job = {
                let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
                jobs.recv()
            };
            let Ok(job) = job else { return };
            if let Err(error) = self.store(&job) {
                self.shared.fail(error);
            }
            // Also after an error: whoever waits must hear of it.
            if self.give_back.send(job.bytes).is_err() {
                return;
            }
        }
    }

    fn store(&self, job: &Job) -> Result<(), StoreError> {
        self.shared.check()?;
        let parts = {
            let state = self.shared.state();
            let object = state.objects.get(job.object);
            object.map(|object| Arc::clone(&object.parts))
        };
        let Some(parts) = parts else {
            return Err(StoreError::Ended);
        };
        let sums = Sums::of(&job.bytes);
        let kept = parts.part(&Part {
            number: job.number,
            offset: job.offset,
            bytes: &job.bytes,
            is_last: job.is_last,
            sums: &sums,
        })?;
        if let Some(object) = self.shared.state().objects.get_mut(job.object) {
            object.kept.insert(job.number, kept);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
