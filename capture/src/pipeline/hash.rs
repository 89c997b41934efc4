// SPDX-License-Identifier: MIT OR Apache-2.0
//! The hashes of the output file, computed while it is written, as far as nobody has to
//! wait for them.
//!
//! A hash has to see all bytes in order, so it is as fast as one processor. Where the file
//! can be read back, a hash that is late for more than a moment falls behind: it sees no more of
//! what is written, and the rest is read back from the file when memory has been read
//! ([`read_back`](super::read_back)).

use super::patience::Patience;
use crate::hash::Hasher;
use crate::plan::HashSpec;
use crate::stop::Stop;
use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use linpmem_manifest::FurtherHash;
use linpmem_phys::num::len_bytes;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{Builder, Scope, ScopedJoinHandle};

/// Hashes over bytes in shared buffers. Each hash has to be computed in order, by a
/// thread of its own; this feeds those threads.
#[derive(Debug, Default)]
pub struct FileHashes<'scope> {
    hashes: Vec<FileHash<'scope>>,
    source: HashSource,
    /// Bytes of the file so far.
    position: u64,
    patience: Patience,
}

/// Where a hash gets the bytes of the file from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HashSource {
    /// As they are written, and whoever writes waits for the slowest hash: nothing can be
    /// read back.
    #[default]
    Stream,
    /// As they are written while the hash keeps up, and then from the file.
    StreamThenFile,
    /// From the file.
    File,
}

/// Bytes on their way into a hash.
#[derive(Clone, Debug)]
pub enum Feed {
    /// Shared bytes.
    Bytes(Bytes),
    /// This many zero bytes.
    Zeros(u64),
}

/// How far a hash came.
#[derive(Clone, Debug)]
pub enum HashEnd {
    /// Over all bytes: the digest.
    Done(Vec<u8>),
    /// It has seen the bytes before `position`.
    Behind {
        /// What it has seen.
        hasher: Box<Hasher>,
        /// The first byte that it has not seen.
        position: u64,
    },
    /// There will be none.
    Stopped,
}

/// A hash of the file.
#[derive(Debug)]
struct FileHash<'scope> {
    /// `None` is SHA-256.
    algorithm: Option<FurtherHash>,
    work: Work<'scope>,
    /// The first byte that it did not get, once it has fallen behind.
    behind: Option<u64>,
}

#[derive(Debug)]
enum Work<'scope> {
    /// Begins when the file is read back.
    Later(Hasher),
    /// Feeds a thread. Its result is `None` if it was stopped.
    Thread {
        /// `None` once the hash has fallen behind.
        feed: Option<Sender<Feed>>,
        thread: ScopedJoinHandle<'scope, Option<Hasher>>,
        /// What it was fed and has not hashed.
        owed: Arc<AtomicU64>,
    },
}

/// Between two looks at the stop.
const ZEROS_AT_ONCE: u64 = 64 << 20;

/// How many pieces may wait where the writer waits for the hash.
const QUEUE: usize = 16;

/// How many pieces may wait where it does not; some formats write a page at a time.
const LONG_QUEUE: usize = 4096;

/// The most bytes that a hash may owe without falling behind: chunks that were waiting for
/// their turn come several at once.
const MAX_OWED: u64 = 4 << 20;

/// How many buffers may wait for a hash, and cannot be read into.
pub const OWED_BUFFERS: usize = 4;

/// Zero bytes take no buffer, but the end of the run waits for them too.
const ZEROS_FOR_A_BYTE: u64 = 16;

/// How much less a hash that may fall behind counts than the threads that read and work.
const NICE: i32 = 10;

impl Feed {
    /// Bytes of the file.
    #[must_use]
    pub fn size(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => len_bytes(bytes),
            Self::Zeros(len) => *len,
        }
    }

    /// What waiting for it costs, in bytes that are hashed.
    fn cost(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => len_bytes(bytes),
            Self::Zeros(len) => len / ZEROS_FOR_A_BYTE,
        }
    }
}

impl<'scope> FileHashes<'scope> {
    /// Starts a thread for each hash that is wanted, if it is fed as the file is written. If
    /// `stop` is raised in a hole of a stream, there will be none.
    ///
    /// # Errors
    /// If a thread cannot be started.
    pub fn spawn(
        scope: &'scope Scope<'scope, '_>,
        wanted: &HashSpec,
        source: HashSource,
        stop: &'scope Stop,
    ) -> io::Result<Self> {
        let sha256 = wanted.file_sha256.then_some(None);
        let further = wanted.further.iter().copied().map(Some);
        let hashes = further.chain(sha256).map(|algorithm| {
            let hasher = algorithm.map_or_else(Hasher::sha256, Hasher::new);
            let name = algorithm.map_or("file", FurtherHash::name);
            let is_later = source == HashSource::File;
            Ok(FileHash {
                algorithm,
                work: match is_later {
                    true => Work::Later(hasher),
                    false => Work::spawn(scope, format!("hash-{name}"), hasher, source, stop)?,
                },
                behind: is_later.then_some(0),
            })
        });
        Ok(Self {
            hashes: hashes.collect::<io::Result<_>>()?,
            source,
            ..Self::default()
        })
    }

    /// Gives up: nothing more is added, and there will be no hashes.
    pub fn forgo(&mut self) {
        *self = Self::default();
    }

    /// Whether any hash takes what is written now.
    #[must_use]
    pub fn is_fed(&self) -> bool {
        self.hashes.iter().any(|hash| hash.behind.is_none())
    }

    /// Whether bytes will have to be read back.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.source == HashSource::File || self.hashes.iter().any(|hash| hash.behind.is_some())
    }

    /// Adds a piece.
    pub fn feed(&mut self, piece: &Feed) {
        for hash in &mut self.hashes {
            hash.feed(piece, self.position, self.source, &mut self.patience);
        }
        self.position += piece.size();
    }

    /// Counts bytes that no hash takes.
    pub fn skip(&mut self, len: u64) {
        self.position += len;
    }

    /// Waits for the hashes of all pieces that were taken.
    ///
    /// # Errors
    /// If a thread panicked.
    pub fn finish(&mut self) -> io::Result<Vec<(Option<FurtherHash>, HashEnd)>> {
        let Self { hashes, .. } = std::mem::take(self);
        let ends = hashes.into_iter();
        ends.map(|hash| Ok((hash.algorithm, hash.finish()?)))
            .collect()
    }
}

impl FileHash<'_> {
    /// Adds a piece that begins at `position` of the file.
    fn feed(&mut self, piece: &Feed, position: u64, source: HashSource, patience: &mut Patience) {
        let Work::Thread {
            feed: Some(feed),
            owed,
            ..
        } = &self.work
        else {
            return;
        };
        if source != HashSource::StreamThenFile {
            // Only a thread that panicked takes no more pieces, and `finish` reports that.
            let _ = feed.send(piece.clone());
            return;
        }
        let cost = piece.cost();
        let has_room = || {
            let before = owed.load(Ordering::Acquire);
            // One piece of any length is taken, since it is in memory already.
            let is_taken = before == 0 && matches!(piece, Feed::Bytes(_));
            before.saturating_add(cost) <= MAX_OWED || is_taken
        };
        // No patience is long enough for so many zeros.
        let is_worth_it = cost <= MAX_OWED || matches!(piece, Feed::Bytes(_));
        if has_room() || (is_worth_it && patience.wait(has_room)) {
            owed.fetch_add(cost, Ordering::AcqRel);
            if !matches!(feed.try_send(piece.clone()), Err(TrySendError::Full(_))) {
                return;
            }
        }
        self.behind = Some(position);
        if let Work::Thread { feed, .. } = &mut self.work {
            *feed = None;
        }
    }

    fn finish(self) -> io::Result<HashEnd> {
        let hasher = match self.work {
            Work::Later(hasher) => Some(hasher),
            Work::Thread { feed, thread, .. } => {
                drop(feed);
                thread.join().map_err(|_| {
                    io::Error::other(
                        "a thread that hashes the image panicked; this is a bug in linpmem-dump",
                    )
                })?
            }
        };
        Ok(match (hasher, self.behind) {
            (None, _) => HashEnd::Stopped,
            (Some(hasher), None) => HashEnd::Done(hasher.finish()),
            (Some(hasher), Some(position)) => HashEnd::Behind {
                hasher: Box::new(hasher),
                position,
            },
        })
    }
}

impl<'scope> Work<'scope> {
    fn spawn(
        scope: &'scope Scope<'scope, '_>,
        name: String,
        hasher: Hasher,
        source: HashSource,
        stop: &'scope Stop,
    ) -> io::Result<Self> {
        let (feed, pieces) = bounded(match source {
            HashSource::Stream => QUEUE,
            _ => LONG_QUEUE,
        });
        let owed = Arc::new(AtomicU64::new(0));
        let paid = Arc::clone(&owed);
        let thread = Builder::new().name(name).spawn_scoped(scope, move || {
            if source == HashSource::StreamThenFile {
                // Reading comes first. On Linux this is the priority of this thread alone;
                // with the usual one the sums are right as well.
                let _ = rustix::process::nice(NICE);
            }
            hash(&pieces, hasher, &paid, stop)
        })?;
        Ok(Self::Thread {
            feed: Some(feed),
            thread,
            owed,
        })
    }
}

fn hash(
    pieces: &Receiver<Feed>,
    mut hasher: Hasher,
    owed: &AtomicU64,
    stop: &Stop,
) -> Option<Hasher> {
    for piece in pieces {
        let cost = piece.cost();
        match piece {
            Feed::Bytes(bytes) => hasher.update(&bytes),
            Feed::Zeros(len) => hash_zeros(&mut hasher, len, stop)?,
        }
        // Fed with a stream, nobody counts.
        let _ = owed.fetch_update(Ordering::AcqRel, Ordering::Acquire, |owed| {
            Some(owed.saturating_sub(cost))
        });
    }
    Some(hasher)
}

/// Adds `len` zero bytes; `None` if `stop` is raised before their end.
pub(super) fn hash_zeros(hasher: &mut Hasher, len: u64, stop: &Stop) -> Option<()> {
    let mut left = len;
    while left > 0 {
        if left > ZEROS_AT_ONCE && stop.is_raised() {
            return None;
        }
        let step = left.min(ZEROS_AT_ONCE);
        hasher.update_zeros(step);
        left -= step;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn wanted(file_sha256: bool, further: &[FurtherHash]) -> HashSpec {
        HashSpec {
            file_sha256,
            further: further.to_vec(),
            ..HashSpec::default()
        }
    }

    /// The digests, in the order in which they were asked for.
    fn digests(ends: Vec<(Option<FurtherHash>, HashEnd)>) -> Vec<Vec<u8>> {
        let digest = |(_, end)| match end {
            HashEnd::Done(digest) => digest,
            end => panic!("{end:?}"),
        };
        ends.into_iter().map(digest).collect()
    }

    #[test]
    fn each_hash_is_over_all_pieces() {
        for source in [HashSource::Stream, HashSource::StreamThenFile] {
            let stop = Stop::default();
            let spec = wanted(true, &[FurtherHash::Blake3]);
            let ends = std::thread::scope(|scope| {
                let mut file_hashes = FileHashes::spawn(scope, &spec, source, &stop).unwrap();
                assert!(file_hashes.is_fed());
                file_hashes.feed(&Feed::Bytes(Bytes::from_static(b"abc")));
                file_hashes.feed(&Feed::Zeros((16 << 10) + 1));
                file_hashes.feed(&Feed::Bytes(Bytes::from_static(b"x")));
                assert!(!file_hashes.is_behind());
                file_hashes.finish().unwrap()
            });
            let mut bytes = b"abc".to_vec();
            bytes.resize(3 + (16 << 10) + 1, 0);
            bytes.push(b'x');
            let [blake3, sha256] = digests(ends).try_into().unwrap();
            assert_eq!(sha256, crate::hash::sha256(&bytes).as_bytes());
            assert_eq!(blake3, blake3::hash(&bytes).as_bytes());
        }
    }

    /// A hash that takes nothing until the sender is dropped.
    fn held<'scope>(
        scope: &'scope Scope<'scope, '_>,
        source: HashSource,
    ) -> (FileHashes<'scope>, Sender<()>) {
        let (feed, pieces) = bounded(LONG_QUEUE);
        let (go, wait) = bounded::<()>(0);
        let owed = Arc::new(AtomicU64::new(0));
        let paid = Arc::clone(&owed);
        let thread = scope.spawn(move || {
            let _ = wait.recv();
            hash(&pieces, Hasher::sha256(), &paid, &Stop::default())
        });
        let work = Work::Thread {
            feed: Some(feed),
            thread,
            owed,
        };
        let file_hashes = FileHashes {
            hashes: vec![FileHash {
                algorithm: None,
                work,
                behind: None,
            }],
            source,
            ..FileHashes::default()
        };
        (file_hashes, go)
    }

    /// The writer goes on at once, and the hash knows where it stopped.
    #[test]
    fn a_hash_that_cannot_keep_up_falls_behind_and_delays_nobody() {
        // Chunks, pages, and zeros.
        for (piece, most) in [
            (Feed::Bytes(Bytes::from(vec![7; 1 << 20])), 4),
            (Feed::Bytes(Bytes::from(vec![7; 4096])), 1024),
            (Feed::Zeros(16 << 20), 4),
        ] {
            std::thread::scope(|scope| {
                let (mut file_hashes, go) = held(scope, HashSource::StreamThenFile);
                for number in 0..most + 20 {
                    file_hashes.feed(&piece);
                    assert_eq!(file_hashes.is_behind(), number >= most, "{number}");
                }
                drop(go);
                let [(None, HashEnd::Behind { hasher, position })] =
                    &file_hashes.finish().unwrap()[..]
                else {
                    panic!("it is not behind");
                };
                assert_eq!(*position, most * piece.size());
                let mut seen = Hasher::sha256();
                for _ in 0..most {
                    match &piece {
                        Feed::Bytes(bytes) => seen.update(bytes),
                        Feed::Zeros(len) => seen.update_zeros(*len),
                    }
                }
                assert_eq!(hasher.clone().finish(), seen.finish());
            });
        }
    }

    /// Falling behind for a moment's delay would mean to read back all that follows.
    #[test]
    fn a_moment_of_delay_does_not_put_a_hash_behind() {
        std::thread::scope(|scope| {
            let (mut file_hashes, go) = held(scope, HashSource::StreamThenFile);
            scope.spawn(move || {
                std::thread::sleep(Duration::from_millis(5));
                drop(go);
            });
            // With the second one it owes too much until it has the first, which is short, as
            // emulated processors hash slowly.
            for length in [4096, 4 << 20] {
                file_hashes.feed(&Feed::Bytes(Bytes::from(vec![7; length])));
            }
            assert!(!file_hashes.is_behind());
            let ends = file_hashes.finish().unwrap();
            assert_eq!(
                digests(ends)[0],
                crate::hash::sha256(&vec![7; (4 << 20) + 4096]).as_bytes()
            );
        });
    }

    /// What it has hashed, it owes no more.
    #[test]
    fn a_hash_that_keeps_up_never_falls_behind() {
        std::thread::scope(|scope| {
            let (mut file_hashes, go) = held(scope, HashSource::StreamThenFile);
            drop(go);
            for _ in 0..20 {
                file_hashes.feed(&Feed::Bytes(Bytes::from(vec![7; 1 << 20])));
                let Work::Thread { owed, .. } = &file_hashes.hashes[0].work else {
                    panic!("it has no thread");
                };
                while owed.load(Ordering::Acquire) > 0 {
                    std::thread::yield_now();
                }
            }
            assert!(!file_hashes.is_behind());
            let ends = file_hashes.finish().unwrap();
            assert_eq!(
                digests(ends)[0],
                crate::hash::sha256(&vec![7; 20 << 20]).as_bytes()
            );
        });
    }

    #[test]
    fn a_thread_that_panicked_is_an_error_not_an_absent_hash() {
        std::thread::scope(|scope| {
            let (feed, _) = bounded(1);
            let thread = scope.spawn(|| panic!("on purpose"));
            let mut file_hashes = FileHashes {
                hashes: vec![FileHash {
                    algorithm: None,
                    work: Work::Thread {
                        feed: Some(feed),
                        thread,
                        owed: Arc::default(),
                    },
                    behind: None,
                }],
                ..FileHashes::default()
            };
            file_hashes.feed(&Feed::Zeros(1));
            assert!(file_hashes.finish().is_err());
        });
    }

    /// A hole of a terabyte would take from ten minutes to hours.
    #[test]
    fn a_stop_ends_the_hashing_of_a_hole() {
        let stop = Stop::default();
        let spec = wanted(true, &[FurtherHash::Md5]);
        let ends = std::thread::scope(|scope| {
            let mut file_hashes =
                FileHashes::spawn(scope, &spec, HashSource::Stream, &stop).unwrap();
            file_hashes.feed(&Feed::Zeros(1 << 60));
            stop.raise();
            file_hashes.finish().unwrap()
        });
        assert_eq!(ends.len(), 2);
        for (_, end) in ends {
            assert!(matches!(end, HashEnd::Stopped), "{end:?}");
        }
    }

    #[test]
    fn what_is_not_wanted_is_not_made() {
        let stop = Stop::default();
        std::thread::scope(|scope| {
            let spawn = |spec: &HashSpec| {
                FileHashes::spawn(scope, spec, HashSource::Stream, &stop).unwrap()
            };
            let mut file_hashes = spawn(&wanted(false, &[]));
            assert!(!file_hashes.is_fed());
            file_hashes.feed(&Feed::Zeros(1));
            assert!(file_hashes.finish().unwrap().is_empty());
            let mut file_hashes = spawn(&wanted(true, &[FurtherHash::Md5]));
            file_hashes.forgo();
            assert!(file_hashes.finish().unwrap().is_empty());
        });
    }
}
