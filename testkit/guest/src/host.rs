// SPDX-License-Identifier: MIT OR Apache-2.0
//! The connection to the host.

use anyhow::Result;
use linpmem_guest::{Frame, FrameKind, Reply};
use std::fs::File;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

/// The connection to the host, for one conversation.
#[derive(Clone)]
pub struct Host {
    port: Arc<Mutex<File>>,
    id: u32,
}

impl Host {
    /// The conversation `id` over `port`.
    pub fn new(port: Arc<Mutex<File>>, id: u32) -> Self {
        Self { port, id }
    }

    /// Sends one frame of this conversation.
    pub fn send(&self, kind: FrameKind, payload: Vec<u8>) -> io::Result<()> {
        let id = self.id;
        let mut port = self.port.lock().unwrap_or_else(PoisonError::into_inner);
        Frame { id, kind, payload }.write_to(&mut *port)
    }

    /// Sends a reply.
    pub fn reply(&self, reply: &Reply) -> io::Result<()> {
        self.send(FrameKind::Reply, serde_json::to_vec(reply)?)
    }

    /// Sends the reply in `outcome`, or one that reports its error.
    pub fn outcome(&self, outcome: Result<Reply>) -> io::Result<()> {
        self.reply(&outcome.unwrap_or_else(|error| {
            let system = error.chain().find_map(|cause| {
                let io = cause.downcast_ref::<io::Error>();
                let nix = cause.downcast_ref::<nix::errno::Errno>();
                io.and_then(io::Error::raw_os_error)
                    .or(nix.map(|errno| io::Error::from(*errno).raw_os_error().unwrap_or(0)))
            });
            Reply::Failed {
                message: format!("{error:#}"),
                errno: system.unwrap_or(0),
            }
        }))
    }
}
