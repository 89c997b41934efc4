// SPDX-License-Identifier: MIT OR Apache-2.0
//! Hashes over all addresses in order, beside whatever else is done.

use super::HashAlgorithm;
use super::digest::{Digest, Hasher};
use super::symbolic::Symbolic;
use crate::WriteError;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::{Builder, JoinHandle};

/// Pieces that may wait for the hashing thread, of the size of the caller's.
const QUEUE: usize = 4;

/// Sums over bytes that come in order, made by a thread of their own.
#[derive(Debug)]
pub(super) struct LinearHash {
    feed: SyncSender<Piece>,
    /// Buffers that were hashed, for the next pieces.
    spare: Receiver<Vec<u8>>,
    thread: JoinHandle<Vec<(HashAlgorithm, Digest)>>,
}

#[derive(Debug)]
enum Piece {
    Data(Vec<u8>),
    Zeros(u64),
}

impl LinearHash {
    /// Starts the thread; it ends when this is dropped.
    pub(super) fn start(algorithms: &[HashAlgorithm]) -> Result<Self, WriteError> {
        let hashers = algorithms
            .iter()
            .map(|&algorithm| (algorithm, algorithm.hasher()))
            .collect();
        let (feed, pieces) = sync_channel(QUEUE);
        let (back, spare) = channel();
        let thread = Builder::new()
            .name("sum-linear".to_owned())
            .spawn(move || run(hashers, &pieces, &back))
            .map_err(|error| {
                WriteError::Unsupported(format!("a thread for the linear hash: {error}"))
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
            // The thread outlives its feeder.
            let _ = self.feed.send(Piece::Zeros(len));
        }
    }

    /// Adds `data`, of which the parts in `unreadable` (offset within `data`, its
    /// address, length) read as the standard says.
    pub(super) fn data(&self, data: &[u8], unreadable: &[(usize, u64, usize)]) {
        let mut copy = self.spare.try_recv().unwrap_or_default();
        copy.clear();
        copy.extend_from_slice(data);
        for &(within, addr, len) in unreadable {
            let end = within.saturating_add(len);
            if let Some(part) = copy.get_mut(within..end) {
                Symbolic::Unreadable.fill(addr, part);
            }
        }
        let _ = self.feed.send(Piece::Data(copy));
    }

    /// The sums.
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
                Piece::Data(data) => hasher.update(data),
                Piece::Zeros(len) => zeros(hasher, *len),
            }
        }
        if let Piece::Data(data) = piece {
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
        let size = usize::try_from(left).map_or(ZEROS.len(), |left| left.min(ZEROS.len()));
        hasher.update(ZEROS.get(..size).unwrap_or(&ZEROS));
        left = left.saturating_sub(u64::try_from(size).unwrap_or(u64::MAX));
    }
}
