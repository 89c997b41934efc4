// SPDX-License-Identifier: MIT OR Apache-2.0
//! What has to be read back of a file, and what it is compared with then.

use super::hash::Feed;
use crate::hash::{Hasher, RemainderDigest};
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
    /// What they are compared with.
    pub known: Known,
}

/// What is known of bytes that were written. It takes little memory and little time: who
/// writes computes it.
#[derive(Clone, Debug)]
pub enum Known {
    /// Chunks have places and SHA-256 sums in the manifest. This is the hash over all else.
    Outside(RemainderDigest),
    /// Chunks have no places: BLAKE3 over all bytes.
    All(Hasher),
}

impl Unseen {
    /// Nothing was seen from `start` on.
    #[must_use]
    pub fn new(start: u64, are_placed: bool) -> Self {
        let known = match are_placed {
            true => Known::Outside(RemainderDigest::default()),
            false => Known::All(Hasher::new(FurtherHash::Blake3)),
        };
        Self { start, known }
    }

    /// Adds a chunk.
    pub fn chunk(&mut self, piece: &Feed) {
        match (&mut self.known, piece) {
            (Known::Outside(digest), _) => digest.end_stretch(),
            (Known::All(hasher), Feed::Bytes(bytes)) => hasher.update(bytes),
            (Known::All(hasher), Feed::Zeros(len)) => hasher.update_zeros(*len),
        }
    }

    /// Adds bytes outside the chunks.
    pub fn bytes(&mut self, bytes: &[u8]) {
        match &mut self.known {
            Known::Outside(digest) => digest.bytes(bytes),
            Known::All(hasher) => hasher.update(bytes),
        }
    }

    /// Adds zero bytes outside the chunks.
    pub fn zeros(&mut self, len: u64) {
        match &mut self.known {
            Known::Outside(digest) => digest.zeros(len),
            Known::All(hasher) => hasher.update_zeros(len),
        }
    }
}
