// SPDX-License-Identifier: MIT OR Apache-2.0
//! An object store.

use super::Sink;
use crate::parts::objects::{StoreError, Upload};
use linpmem_phys::num::len_bytes;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Stores an image. Its bytes are copied into parts, so that the buffers are free to be read into
/// again.
pub struct ObjectSink {
    upload: Arc<Mutex<Upload>>,
    position: u64,
}

impl ObjectSink {
    /// Stores by `upload`, from its first byte.
    #[must_use]
    pub const fn new(upload: Arc<Mutex<Upload>>) -> Self {
        Self {
            upload,
            position: 0,
        }
    }

    fn upload(&self) -> MutexGuard<'_, Upload> {
        self.upload.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn failed(error: StoreError) -> io::Error {
    io::Error::other(error)
}

impl Sink for ObjectSink {
    fn position(&self) -> u64 {
        self.position
    }

    fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.position += len_bytes(bytes);
        self.upload().bytes(bytes).map_err(failed)
    }

    fn zeros(&mut self, len: u64) -> io::Result<()> {
        let end = self.position.checked_add(len);
        self.position = end.ok_or_else(|| io::Error::from(io::ErrorKind::FileTooLarge))?;
        self.upload().zeros(len).map_err(failed)
    }

    fn finish(&mut self) -> io::Result<()> {
        self.upload().drain().map_err(failed)
    }
}
