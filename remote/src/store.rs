// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a receiver does with what it gets. Implemented by whoever keeps the files.

use crate::message::{Finish, Hello, SignedReceipt, Stream};
use crate::refusal::Refusal;
use crate::wake::Wake;
use std::net::SocketAddr;
use std::sync::Arc;

/// Where images go.
pub trait Store: Sync {
    /// Begins the run that `hello` announces, or goes on with it. All of `hello` is a claim: no
    /// name in it may become a path as it is.
    ///
    /// # Errors
    /// If it is not taken.
    fn open(&self, hello: &Hello, peer: SocketAddr) -> Result<Opened, Refusal>;

    /// The connection from `peer` came to nothing, for this reason: for the log.
    fn turned_away(&self, peer: SocketAddr, reason: &str);

    /// Somebody at `peer` has measured the line with this many bytes, and sent no image: for the
    /// log.
    fn probed(&self, peer: SocketAddr, bytes: u64);

    /// The connection of `run` broke, for this reason; it may come again.
    fn lost(&self, hello: &Hello, peer: SocketAddr, reason: &str);
}

/// A run that goes on.
pub enum Opened {
    /// There is more to come.
    Running {
        /// The name that the image has, or will have.
        image: String,
        /// The number of the message that is expected next.
        next: u64,
        /// Takes the messages.
        session: Box<dyn Session>,
    },
    /// All is there; the sender only has not heard so yet.
    Done(Box<SignedReceipt>),
}

/// Takes the messages of one run in their order. After an error, it is dropped.
pub trait Session: Send {
    /// The next bytes of `stream`.
    ///
    /// # Errors
    /// If they cannot be kept.
    fn data(&mut self, stream: Stream, bytes: &[u8]) -> Result<(), Refusal>;

    /// The next `len` bytes of `stream` are zero.
    ///
    /// # Errors
    /// If they cannot be kept.
    fn zeros(&mut self, stream: Stream, len: u64) -> Result<(), Refusal>;

    /// The number of the first message that is not on the disk yet, if all messages that it got
    /// are numbered from that of [`Opened::Running`] on. Does not wait.
    ///
    /// # Errors
    /// If the disk failed.
    fn durable(&mut self) -> Result<u64, Refusal>;

    /// Is woken when [`durable`](Self::durable) is about to say more.
    fn progress(&self) -> &Arc<Wake>;

    /// The end: compares all sums, and gives the files their names. `alive` is to be called every
    /// few seconds meanwhile.
    ///
    /// # Errors
    /// If the files are not what they should be. They then keep their working names.
    fn finish(
        &mut self,
        finish: &Finish,
        alive: &mut dyn FnMut(),
    ) -> Result<SignedReceipt, Refusal>;
}
