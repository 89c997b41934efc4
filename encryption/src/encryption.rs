// SPDX-License-Identifier: MIT OR Apache-2.0
//! Encrypting a stream of bytes.

use crate::recipient::Recipients;
use age::Encryptor;
use age::stream::StreamWriter;
use std::io::{self, Write};
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

/// A stream that is being encrypted. It does no I/O: whoever pushes bytes gets what can be
/// written of them.
pub struct Encryption {
    stream: StreamWriter<Ready>,
    ready: Ready,
}

/// Encrypted bytes that nobody has taken yet.
#[derive(Clone, Default)]
struct Ready(Arc<Mutex<Vec<u8>>>);

impl Encryption {
    /// Begins a stream for `recipients`, and appends its header to `out`.
    ///
    /// # Errors
    /// If the system has no random numbers.
    pub fn begin(recipients: &Recipients, out: &mut Vec<u8>) -> io::Result<Self> {
        let ready = Ready::default();
        let encryptor = Encryptor::with_recipients(recipients.keys()).map_err(io::Error::other)?;
        let stream = ready.appending(out, || encryptor.wrap_output(ready.clone()))?;
        Ok(Self { stream, ready })
    }

    /// Encrypts `bytes`, and appends the chunks that are full to `out`: no more bytes than were
    /// pushed, and 64 KiB. The latest chunk waits until more follows it.
    ///
    /// # Errors
    /// None that is known.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        let stream = &mut self.stream;
        self.ready.appending(out, || stream.write_all(bytes))
    }

    /// Ends the stream, and appends its last chunk to `out`. Without it nobody can tell
    /// the stream from one that was cut off.
    ///
    /// # Errors
    /// None that is known.
    pub fn finish(self, out: &mut Vec<u8>) -> io::Result<()> {
        let Self { stream, ready } = self;
        ready.appending(out, || stream.finish()).map(|_| ())
    }
}

impl Ready {
    /// What `write` writes is appended to `out`.
    fn appending<T>(&self, out: &mut Vec<u8>, write: impl FnOnce() -> T) -> T {
        self.swap(out);
        let written = write();
        self.swap(out);
        written
    }

    fn swap(&self, out: &mut Vec<u8>) {
        mem::swap(
            &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner),
            out,
        );
    }
}

impl Write for Ready {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut ready = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ready.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
