// SPDX-License-Identifier: MIT OR Apache-2.0
//! Hashes over the memory at all addresses in order, computed in the background.

use super::HashAlgorithm;
use super::digest::{Digest, Hasher};
use super::symbolic::Symbolic;
use crate::{Chunk, WriteError};
use bytes::Bytes;
use linpmem_phys::num::{u64_as_usize, usize_as_u64};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::{Builder, JoinHandle};

/// The most pieces that wait for the hashing thread.
const QUEUE: usize = 2;

/// Hashes over bytes that come in order, computed by a thread of their own.
#[derive(Debug)]
pub(super) struct LinearHash {
    feed: SyncSender<Piece>,
    /// Buffers for reuse.
    spare: Receiver<Vec<u8>>,
    thread: JoinHandle<Vec<(HashAlgorithm, Digest)>>,
}

#[derive(Debug)]
enum Piece {
    /// Memory as it was read, in the buffer that it was read into.
    Shared(Bytes),
    /// A copy in which the unreadable parts are filled.
    Filled(Vec<u8>),
    Zeros(u64),
}

impl LinearHash {
    /// Starts the thread, which ends when this is dropped.
    pub(super) fn start(algorithms: &[HashAlgorithm]) -> Result<Self, WriteError> {
        let hashers = algorithms
            .iter()
            .map(|&algorithm| (algorithm, algorithm.hasher()))
            .collect();
        let (feed, pieces) = sync_channel(QUEUE);
        let (back, spare) = channel();
        let thread = Builder::new()
            .name("linear-hash".to_owned())
            .spawn(move || run(hashers, &pieces, &back))
            .map_err(|source| WriteError::Thread {
                name: "linear-hash",
                source,
            })?;
        Ok(Self {
            feed,
            spare,
            thread,
        })
    }

    /// Adds `len` zero bytes.
    pub(super) fn zeros(&self, len: u64) {
        if len > 0 {
            // If the thread panicked, `finish` reports it.
            let _ = self.feed.send(Piece::Zeros(len));
        }
    }

    /// Adds the memory in `chunk`. Its unreadable parts are hashed as the standard defines.
    pub(super) fn data(&self, chunk: &Chunk<'_>) -> Result<(), WriteError> {
        let piece = match chunk.unreadable {
            [] => Piece::Shared(chunk.data.clone()),
            _ => Piece::Filled(self.filled(chunk)?),
        };
        // If the thread panicked, `finish` reports it.
        let _ = self.feed.send(piece);
        Ok(())
    }

    fn filled(&self, chunk: &Chunk<'_>) -> Result<Vec<u8>, WriteError> {
        let mut copy = self.spare.try_recv().unwrap_or_default();
        copy.clear();
        copy.extend_from_slice(&chunk.data);
        for item in chunk.unreadable {
            let addr = item.range.start();
            let part = addr
                .checked_sub(chunk.start)
                .and_then(|within| {
                    let from = u64_as_usize(within.get());
                    let len = u64_as_usize(item.range.len().get());
                    copy.get_mut(from..from.checked_add(len)?)
                })
                .ok_or(WriteError::Misuse(
                    "an unreadable range is outside of its chunk",
                ))?;
            Symbolic::Unreadable.fill(addr.get(), part);
        }
        Ok(copy)
    }

    /// Returns the hashes.
    pub(super) fn finish(self) -> Result<Vec<(HashAlgorithm, Digest)>, WriteError> {
        drop(self.feed);
        self.thread
            .join()
            .map_err(|_| WriteError::Misuse("the thread of the linear hash panicked"))
    }
}

fn run(
    mut hashers: Vec<(HashAlgorithm, Hasher)>,
    pieces: &Receiver<Piece>,
    back: &Sender<Vec<u8>>,
) -> Vec<(HashAlgorithm, Digest)> {
    for piece in pieces {
        for (_, hasher) in &mut hashers {
            match &piece {
                Piece::Shared(data) => hasher.update(data),
                Piece::Filled(data) => hasher.update(data),
                Piece::Zeros(len) => zeros(hasher, *len),
            }
        }
        if let Piece::Filled(data) = piece {
            // Without a taker, the buffer is freed.
            let _ = back.send(data);
        }
    }
    hashers
        .into_iter()
        .map(|(algorithm, hasher)| (algorithm, hasher.finish()))
        .collect()
}

fn zeros(hasher: &mut Hasher, len: u64) {
    const ZEROS: [u8; 16 << 10] = [0; 16 << 10];
    let mut left = len;
    while left > 0 {
        let (zeros, _) = ZEROS.split_at(u64_as_usize(left).min(ZEROS.len()));
        hasher.update(zeros);
        left -= usize_as_u64(zeros.len());
    }
}
