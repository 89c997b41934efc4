// SPDX-License-Identifier: MIT OR Apache-2.0
//! A receiver on another machine.

use super::Sink;
use crate::parts::remote::{MOST_QUEUED_BYTES, Sender, Stream};
use bytes::{Bytes, BytesMut};
use linpmem_phys::num::len_bytes;
use std::io;
use std::sync::Arc;

/// Small pieces are sent together.
const TOGETHER_BYTES: usize = 64 << 10;

/// Sends an image. Buffers are sent from where they are, and let go of when the receiver has
/// them on its disk.
pub struct RemoteSink {
    sender: Arc<Sender>,
    position: u64,
    /// Small pieces that were not sent yet.
    small: BytesMut,
}

impl RemoteSink {
    /// Sends by `sender`, from its first byte.
    #[must_use]
    pub fn new(sender: Arc<Sender>) -> Self {
        Self {
            sender,
            position: 0,
            small: BytesMut::new(),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        let small = self.small.split().freeze();
        self.sender
            .bytes(Stream::Image, &small)
            .map_err(io::Error::other)
    }
}

impl Sink for RemoteSink {
    fn position(&self) -> u64 {
        self.position
    }

    fn held_bytes(&self) -> usize {
        MOST_QUEUED_BYTES
    }

    fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.position += len_bytes(bytes);
        if bytes.len() >= TOGETHER_BYTES {
            self.flush()?;
            let sent = self
                .sender
                .bytes(Stream::Image, &Bytes::copy_from_slice(bytes));
            return sent.map_err(io::Error::other);
        }
        if self.small.len() + bytes.len() > TOGETHER_BYTES {
            self.flush()?;
        }
        self.small.extend_from_slice(bytes);
        Ok(())
    }

    fn shared(&mut self, bytes: &Bytes) -> io::Result<()> {
        if bytes.len() < TOGETHER_BYTES {
            return self.bytes(bytes);
        }
        self.flush()?;
        self.position += len_bytes(bytes);
        self.sender
            .bytes(Stream::Image, bytes)
            .map_err(io::Error::other)
    }

    fn zeros(&mut self, len: u64) -> io::Result<()> {
        let end = self.position.checked_add(len);
        self.position = end.ok_or_else(|| io::Error::from(io::ErrorKind::FileTooLarge))?;
        self.flush()?;
        self.sender
            .zeros(Stream::Image, len)
            .map_err(io::Error::other)
    }

    fn finish(&mut self) -> io::Result<()> {
        self.flush()?;
        self.sender.drained().map_err(io::Error::other)
    }

    /// A message says how many there are.
    fn has_free_holes(&self) -> bool {
        true
    }
}
