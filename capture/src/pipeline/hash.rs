// SPDX-License-Identifier: MIT OR Apache-2.0
//! The hashes of the output file, computed while it is written.

use crate::hash::Hasher;
use crate::plan::HashSpec;
use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender, bounded};
use linpmem_manifest::Sha256Sum;
use linpmem_manifest::{FurtherHash, HashRecord};
use linpmem_phys::hex;
use std::io;
use std::thread::{Builder, Scope, ScopedJoinHandle};

/// Hashes over bytes in shared buffers. Each hash has to be computed in order, by a
/// thread of its own; this feeds those threads.
#[derive(Debug, Default)]
pub struct FileSums<'scope> {
    sha256: Option<HashThread<'scope>>,
    further: Vec<(FurtherHash, HashThread<'scope>)>,
}

/// Bytes on their way into a hash.
#[derive(Clone, Debug)]
pub enum Feed {
    /// Shared bytes.
    Bytes(Bytes),
    /// This many zero bytes.
    Zeros(u64),
}

#[derive(Debug)]
struct HashThread<'scope> {
    feed: Sender<Feed>,
    thread: ScopedJoinHandle<'scope, Vec<u8>>,
}

/// How many pieces may wait. Their pool limits the buffers among them.
const QUEUE: usize = 16;

impl<'scope> FileSums<'scope> {
    /// Starts a thread for each hash that is wanted.
    ///
    /// # Errors
    /// If a thread cannot be started.
    pub fn spawn(scope: &'scope Scope<'scope, '_>, wanted: &HashSpec) -> io::Result<Self> {
        let spawn = |name: &str, hasher| HashThread::spawn(scope, format!("sum-{name}"), hasher);
        let sha256 = wanted.file_sha256.then(|| spawn("file", Hasher::sha256()));
        let further = wanted.further.iter();
        let further = further.map(|&hash| Ok((hash, spawn(hash.name(), Hasher::new(hash))?)));
        Ok(Self {
            sha256: sha256.transpose()?,
            further: further.collect::<io::Result<_>>()?,
        })
    }

    /// Gives up: nothing more is added, and there will be no hashes.
    pub fn forgo(&mut self) {
        *self = Self::default();
    }

    /// Whether any hash is computed.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        self.sha256.is_some() || !self.further.is_empty()
    }

    /// Adds a piece.
    pub fn feed(&self, piece: Feed) {
        let further = self.further.iter().map(|(_, thread)| thread);
        for thread in further.chain(&self.sha256) {
            // The thread ends only when nothing can feed it any more.
            let _ = thread.feed.send(piece.clone());
        }
    }

    /// Waits for the hashes of all pieces.
    pub fn finish(&mut self) -> (Option<Sha256Sum>, Vec<HashRecord>) {
        let Self { sha256, further } = std::mem::take(self);
        let records = further.into_iter().filter_map(|(algorithm, thread)| {
            let digest = hex::encode(&thread.finish()?);
            Some(HashRecord { algorithm, digest })
        });
        let records = records.collect();
        let digest = sha256.and_then(HashThread::finish);
        let sum = digest.and_then(|digest| Sha256Sum::try_from(digest.as_slice()).ok());
        (sum, records)
    }
}

impl<'scope> HashThread<'scope> {
    fn spawn(
        scope: &'scope Scope<'scope, '_>,
        name: String,
        hasher: Hasher,
    ) -> io::Result<HashThread<'scope>> {
        let (feed, pieces) = bounded(QUEUE);
        let thread = Builder::new()
            .name(name)
            .spawn_scoped(scope, move || hash(&pieces, hasher))?;
        Ok(Self { feed, thread })
    }

    fn finish(self) -> Option<Vec<u8>> {
        drop(self.feed);
        self.thread.join().ok()
    }
}

fn hash(pieces: &Receiver<Feed>, mut hasher: Hasher) -> Vec<u8> {
    for piece in pieces {
        match piece {
            Feed::Bytes(bytes) => hasher.update(&bytes),
            Feed::Zeros(len) => hasher.update_zeros(len),
        }
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(file_sha256: bool, further: &[FurtherHash]) -> HashSpec {
        HashSpec {
            file_sha256,
            further: further.to_vec(),
        }
    }

    #[test]
    fn each_sum_is_over_all_pieces() {
        let (sha256, further) = std::thread::scope(|scope| {
            let mut sums = FileSums::spawn(scope, &wanted(true, &[FurtherHash::Blake3])).unwrap();
            assert!(sums.is_wanted());
            sums.feed(Feed::Bytes(Bytes::from_static(b"abc")));
            sums.feed(Feed::Zeros((16 << 10) + 1));
            sums.feed(Feed::Bytes(Bytes::from_static(b"x")));
            sums.finish()
        });
        let mut bytes = b"abc".to_vec();
        bytes.resize(3 + (16 << 10) + 1, 0);
        bytes.push(b'x');
        assert_eq!(sha256, Some(crate::hash::sha256(&bytes)));
        let blake3 = blake3::hash(&bytes).to_hex().to_string();
        assert_eq!(further.len(), 1);
        assert_eq!(further[0].digest, blake3);
    }

    #[test]
    fn what_is_not_wanted_is_not_made() {
        std::thread::scope(|scope| {
            let mut sums = FileSums::spawn(scope, &wanted(false, &[])).unwrap();
            assert!(!sums.is_wanted());
            sums.feed(Feed::Zeros(1));
            assert_eq!(sums.finish(), (None, Vec::new()));
            let mut sums = FileSums::spawn(scope, &wanted(true, &[FurtherHash::Md5])).unwrap();
            sums.forgo();
            assert_eq!(sums.finish(), (None, Vec::new()));
        });
    }
}
