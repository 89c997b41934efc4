// SPDX-License-Identifier: MIT OR Apache-2.0
//! What has to be read back of a file, and what it is compared with then.

use super::hash::Feed;
use crate::hash::{Hasher, RunningSum};
use linpmem_manifest::FurtherHash;

/// The part of a file that some hash has not seen.
#[derive(Clone, Debug)]
pub struct Unhashed {
    /// The hashes that lack it; `None` is SHA-256. Each has seen what comes before a
    /// position.
    pub hashes: Vec<(Option<FurtherHash>, Hasher, u64)>,
    /// What it is compared with.
    pub unseen: Unseen,
}

/// The bytes of a file from `start` on, as they were when they were written.
#[derive(Clone, Debug)]
pub struct Unseen {
    /// The first of them. A hash that has not seen zero bytes before it has to see those too.
    pub start: u64,
    /// Their sum.
    pub sum: RunningSum,
    /// Whether the manifest has the place and the hash of each chunk, so that one that differs
    /// can be named.
    pub are_chunks_placed: bool,
}

impl Unseen {
    /// Nothing was seen from `start` on.
    #[must_use]
    pub fn new(start: u64, are_chunks_placed: bool) -> Self {
        Self {
            start,
            sum: RunningSum::with_new_secret(),
            are_chunks_placed,
        }
    }

    /// Adds a piece.
    pub fn piece(&mut self, piece: &Feed) {
        match piece {
            Feed::Bytes(bytes) => self.sum.bytes(bytes),
            Feed::Zeros(len) => self.sum.zeros(*len),
        }
    }
}
