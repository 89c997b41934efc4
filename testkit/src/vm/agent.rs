// SPDX-License-Identifier: MIT OR Apache-2.0
//! The host's side of the protocol with a guest's init.

use anyhow::{Context, Result, bail};
use linpmem_guest::{Frame, FrameKind, Reply, Request};
use std::collections::HashMap;
use std::io::Write;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

/// The connection to one guest.
#[derive(Debug)]
pub(super) struct Agent {
    stream: Mutex<UnixStream>,
    table: Arc<Mutex<Table>>,
    next: AtomicU32,
}

/// Who waits for the frames of each conversation. `None` once the guest is gone.
type Table = Option<HashMap<u32, Sender<Frame>>>;

/// One conversation.
#[derive(Debug)]
pub(super) struct Conversation<'a> {
    agent: &'a Agent,
    id: u32,
    frames: Receiver<Frame>,
}

/// Why no frame came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Silence {
    /// The deadline passed.
    Timeout,
    /// The guest closed the connection: it panicked or was switched off.
    Gone,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Agent {
    /// Talks to the guest at the other end of `stream`.
    pub(super) fn new(stream: UnixStream) -> Result<Self> {
        let table: Arc<Mutex<Table>> = Arc::new(Mutex::new(Some(HashMap::new())));
        let mut reading = stream.try_clone().context("the agent's socket")?;
        let dispatch = Arc::clone(&table);
        thread::spawn(move || {
            while let Ok(Some(frame)) = Frame::read_from(&mut reading) {
                if let Some(waiting) = lock(&dispatch).as_ref() {
                    if let Some(sender) = waiting.get(&frame.id) {
                        // Dropped if the conversation has ended here.
                        let _ = sender.send(frame);
                    }
                }
            }
            // Drops the senders, which ends every wait.
            *lock(&dispatch) = None;
        });
        Ok(Self {
            stream: Mutex::new(stream),
            table,
            next: AtomicU32::new(1),
        })
    }

    /// The conversation that the guest begins when it is up.
    pub(super) fn greeting(&self) -> Conversation<'_> {
        self.conversation(0)
    }

    /// Sends a request.
    pub(super) fn ask(&self, request: &Request) -> Result<Conversation<'_>> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let conversation = self.conversation(id);
        conversation.send(FrameKind::Request, serde_json::to_vec(request)?)?;
        Ok(conversation)
    }

    fn conversation(&self, id: u32) -> Conversation<'_> {
        let (sender, frames) = mpsc::channel();
        if let Some(waiting) = lock(&self.table).as_mut() {
            waiting.insert(id, sender);
        }
        Conversation {
            agent: self,
            id,
            frames,
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // The reading thread holds the socket as well.
        let _ = lock(&self.stream).shutdown(Shutdown::Both);
    }
}

impl Conversation<'_> {
    /// Sends a frame.
    pub(super) fn send(&self, kind: FrameKind, payload: Vec<u8>) -> Result<()> {
        let mut bytes = Vec::new();
        let id = self.id;
        Frame { id, kind, payload }.write_to(&mut bytes)?;
        lock(&self.agent.stream)
            .write_all(&bytes)
            .context("sending a request to the guest")
    }

    /// The next frame, if it comes before `deadline`.
    pub(super) fn next(&self, deadline: Instant) -> Result<Frame, Silence> {
        let patience = deadline.saturating_duration_since(Instant::now());
        self.frames
            .recv_timeout(patience)
            .map_err(|error| match error {
                RecvTimeoutError::Timeout => Silence::Timeout,
                RecvTimeoutError::Disconnected => Silence::Gone,
            })
    }
}

impl Drop for Conversation<'_> {
    fn drop(&mut self) {
        if let Some(waiting) = lock(&self.agent.table).as_mut() {
            waiting.remove(&self.id);
        }
    }
}

/// The reply in `frame`; one that reports a failure becomes an error.
pub(super) fn reply(frame: &Frame) -> Result<Reply> {
    if frame.kind != FrameKind::Reply {
        bail!("the guest sent {:?} instead of a reply", frame.kind);
    }
    match serde_json::from_slice(&frame.payload).context("reading a reply")? {
        Reply::Failed { message, .. } => bail!("in the guest: {message}"),
        reply => Ok(reply),
    }
}
