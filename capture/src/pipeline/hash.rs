// SPDX-License-Identifier: MIT OR Apache-2.0
//! The hashes of the output file, computed while it is written.

use crate::hash::Hasher;
use crate::plan::HashSpec;
use crate::stop::Stop;
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
pub struct FileHashes<'scope> {
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
    /// `None` if it was stopped.
    thread: ScopedJoinHandle<'scope, Option<Vec<u8>>>,
}

/// Between two looks at the stop.
const ZEROS_AT_ONCE: u64 = 64 << 20;

/// How many pieces may wait. Their pool limits the buffers among them.
const QUEUE: usize = 16;

impl<'scope> FileHashes<'scope> {
    /// Starts a thread for each hash that is wanted. If `stop` is raised in a hole, there
    /// will be none.
    ///
    /// # Errors
    /// If a thread cannot be started.
    pub fn spawn(
        scope: &'scope Scope<'scope, '_>,
        wanted: &HashSpec,
        stop: &'scope Stop,
    ) -> io::Result<Self> {
        let spawn =
            |name: &str, hasher| HashThread::spawn(scope, format!("hash-{name}"), hasher, stop);
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
            // Only a thread that panicked takes no more pieces, and `finish` reports that.
            let _ = thread.feed.send(piece.clone());
        }
    }

    /// Waits for the hashes of all pieces.
    ///
    /// # Errors
    /// If a thread panicked.
    pub fn finish(&mut self) -> io::Result<(Option<Sha256Sum>, Vec<HashRecord>)> {
        let Self { sha256, further } = std::mem::take(self);
        let mut records = Vec::new();
        for (algorithm, thread) in further {
            let digest = thread.finish()?.map(|digest| hex::encode(&digest));
            records.extend(digest.map(|digest| HashRecord { algorithm, digest }));
        }
        let digest = sha256.map(HashThread::finish).transpose()?.flatten();
        let sha256 = digest.map(|digest| Sha256Sum::try_from(digest.as_slice()));
        Ok((sha256.transpose().map_err(io::Error::other)?, records))
    }
}

impl<'scope> HashThread<'scope> {
    fn spawn(
        scope: &'scope Scope<'scope, '_>,
        name: String,
        hasher: Hasher,
        stop: &'scope Stop,
    ) -> io::Result<HashThread<'scope>> {
        let (feed, pieces) = bounded(QUEUE);
        let thread = Builder::new()
            .name(name)
            .spawn_scoped(scope, move || hash(&pieces, hasher, stop))?;
        Ok(Self { feed, thread })
    }

    fn finish(self) -> io::Result<Option<Vec<u8>>> {
        drop(self.feed);
        self.thread.join().map_err(|_| {
            io::Error::other(
                "a thread that hashes the image panicked; this is a bug in linpmem-dump",
            )
        })
    }
}

fn hash(pieces: &Receiver<Feed>, mut hasher: Hasher, stop: &Stop) -> Option<Vec<u8>> {
    for piece in pieces {
        match piece {
            Feed::Bytes(bytes) => hasher.update(&bytes),
            Feed::Zeros(mut len) => {
                while len > 0 {
                    if len > ZEROS_AT_ONCE && stop.is_raised() {
                        return None;
                    }
                    let step = len.min(ZEROS_AT_ONCE);
                    hasher.update_zeros(step);
                    len -= step;
                }
            }
        }
    }
    Some(hasher.finish())
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
    fn each_hash_is_over_all_pieces() {
        let stop = Stop::default();
        let (sha256, further) = std::thread::scope(|scope| {
            let mut file_hashes =
                FileHashes::spawn(scope, &wanted(true, &[FurtherHash::Blake3]), &stop).unwrap();
            assert!(file_hashes.is_wanted());
            file_hashes.feed(Feed::Bytes(Bytes::from_static(b"abc")));
            file_hashes.feed(Feed::Zeros((16 << 10) + 1));
            file_hashes.feed(Feed::Bytes(Bytes::from_static(b"x")));
            file_hashes.finish().unwrap()
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
    fn a_thread_that_panicked_is_an_error_not_an_absent_hash() {
        std::thread::scope(|scope| {
            let (feed, _) = bounded(1);
            let thread = scope.spawn(|| panic!("on purpose"));
            let mut file_hashes = FileHashes {
                sha256: Some(HashThread { feed, thread }),
                further: Vec::new(),
            };
            file_hashes.feed(Feed::Zeros(1));
            assert!(file_hashes.finish().is_err());
        });
    }

    /// A hole of a terabyte would take from ten minutes to hours.
    #[test]
    fn a_stop_ends_the_hashing_of_a_hole() {
        let stop = Stop::default();
        let hashes = std::thread::scope(|scope| {
            let mut file_hashes =
                FileHashes::spawn(scope, &wanted(true, &[FurtherHash::Md5]), &stop).unwrap();
            file_hashes.feed(Feed::Zeros(1 << 60));
            stop.raise();
            file_hashes.finish().unwrap()
        });
        assert_eq!(hashes, (None, Vec::new()));
    }

    #[test]
    fn what_is_not_wanted_is_not_made() {
        let stop = Stop::default();
        std::thread::scope(|scope| {
            let mut file_hashes = FileHashes::spawn(scope, &wanted(false, &[]), &stop).unwrap();
            assert!(!file_hashes.is_wanted());
            file_hashes.feed(Feed::Zeros(1));
            assert_eq!(file_hashes.finish().unwrap(), (None, Vec::new()));
            let mut file_hashes =
                FileHashes::spawn(scope, &wanted(true, &[FurtherHash::Md5]), &stop).unwrap();
            file_hashes.forgo();
            assert_eq!(file_hashes.finish().unwrap(), (None, Vec::new()));
        });
    }
}
