// SPDX-License-Identifier: MIT OR Apache-2.0
//! The sum of an encrypted file, by which it can be checked without a key.

use crate::hash::sha256_of;
use bytes::Bytes;
use crossbeam_channel::{Sender, bounded};
use linpmem_manifest::Sha256Sum;
use linpmem_phys::num::len_bytes;
use sha2::{Digest, Sha256};
use std::io;
use std::thread::{Builder, JoinHandle};

/// Pieces that may wait to be hashed: a MiB or so.
pub const SUM_QUEUE: usize = 4;

/// Length and SHA-256 of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EncryptedSum {
    /// Its bytes.
    pub length: u64,
    /// Its SHA-256.
    pub sha256: Sha256Sum,
}

/// Computes a sum beside the thread that writes.
#[derive(Debug)]
pub struct SumThread {
    pieces: Sender<Bytes>,
    thread: JoinHandle<EncryptedSum>,
}

impl SumThread {
    /// Starts the thread.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn spawn() -> io::Result<Self> {
        let (pieces, todo) = bounded::<Bytes>(SUM_QUEUE);
        let thread = Builder::new()
            .name("hash-encrypted".to_owned())
            .spawn(move || {
                let (mut hasher, mut length) = (Sha256::new(), 0);
                for piece in todo {
                    hasher.update(&piece);
                    length += len_bytes(&piece);
                }
                EncryptedSum {
                    length,
                    sha256: sha256_of(hasher),
                }
            })?;
        Ok(Self { pieces, thread })
    }

    /// Adds the next bytes.
    pub fn add(&self, piece: Bytes) {
        // Only a thread that panicked takes no more, and `finish` reports that.
        let _ = self.pieces.send(piece);
    }

    /// The sum of all bytes.
    ///
    /// # Errors
    /// If the thread panicked.
    pub fn finish(self) -> io::Result<EncryptedSum> {
        drop(self.pieces);
        self.thread.join().map_err(|_| {
            io::Error::other(
                "the thread that hashes what was encrypted panicked; this is a bug in linpmem-dump",
            )
        })
    }
}
