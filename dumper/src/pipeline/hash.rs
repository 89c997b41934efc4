// SPDX-License-Identifier: MIT OR Apache-2.0
//! SHA-256 of a stream, beside whatever else is done with its bytes.

use super::buffer::Buffer;
use crate::digest::Sha256Sum;
use crate::outside::feed_zeros;
use crossbeam_channel::{Receiver, Sender, bounded};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use std::thread::Scope;

/// A sum over bytes that lie in shared buffers has to be made in order, by one
/// thread. This is that thread's other end.
#[derive(Debug)]
pub struct HashThread {
    feed: Sender<Feed>,
    sums: Receiver<Sha256Sum>,
    /// There is to be no sum.
    is_forgone: bool,
}

/// Bytes on their way into a sum.
#[derive(Debug)]
pub enum Feed {
    /// A buffer's memory.
    Data(Arc<Buffer>),
    /// A buffer's compressed form.
    Frame(Arc<Buffer>),
    /// Bytes of their own.
    Bytes(Arc<[u8]>),
    /// So many zero bytes.
    Zeros(u64),
    /// The end: hand out the sum and begin a new one.
    Finish,
}

/// How many pieces may wait. The buffers among them are bounded by their pool.
const QUEUE: usize = 16;

impl HashThread {
    /// Starts the thread; it ends when this is dropped.
    ///
    /// # Errors
    /// If there are no more threads to be had.
    pub fn spawn<'scope>(scope: &'scope Scope<'scope, '_>, name: &str) -> std::io::Result<Self> {
        let (feed, pieces) = bounded(QUEUE);
        let (finished, sums) = bounded(1);
        std::thread::Builder::new()
            .name(name.to_owned())
            .spawn_scoped(scope, move || hash(&pieces, &finished))?;
        Ok(Self {
            feed,
            sums,
            is_forgone: false,
        })
    }

    /// From here on nothing is added, and there is no sum.
    pub fn forgo(&mut self) {
        self.is_forgone = true;
    }

    /// Adds a piece.
    pub fn feed(&self, piece: Feed) {
        if self.is_forgone {
            return;
        }
        // The thread outlives its feeders and ends only when they do.
        let _ = self.feed.send(piece);
    }

    /// The sum of all pieces since the last one; waits for it.
    pub fn finish(&self) -> Option<Sha256Sum> {
        if self.is_forgone {
            return None;
        }
        self.feed.send(Feed::Finish).ok()?;
        self.sums.recv().ok()
    }
}

fn hash(pieces: &Receiver<Feed>, finished: &Sender<Sha256Sum>) {
    let mut hasher = Sha256::new();
    for piece in pieces {
        match piece {
            Feed::Data(buffer) => hasher.update(buffer.data()),
            Feed::Frame(buffer) => hasher.update(buffer.frame()),
            Feed::Bytes(bytes) => hasher.update(&bytes),
            Feed::Zeros(len) => feed_zeros(&mut hasher, len),
            Feed::Finish => {
                let sum = Sha256Sum::finish(std::mem::take(&mut hasher));
                if finished.send(sum).is_err() {
                    return;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::buffer::Pool;
    use super::*;

    #[test]
    fn sums_follow_each_other() {
        let pool = Pool::new(1, 3, 0);
        let (first, second) = std::thread::scope(|scope| {
            let hashing = HashThread::spawn(scope, "hash").unwrap();
            let mut buffer = pool.take(3).unwrap();
            buffer.data_mut().copy_from_slice(b"abc");
            hashing.feed(Feed::Data(Arc::new(buffer)));
            hashing.feed(Feed::Zeros((16 << 10) + 1));
            let first = hashing.finish().unwrap();
            hashing.feed(Feed::Bytes(Arc::from(b"x".as_slice())));
            (first, hashing.finish().unwrap())
        });
        let mut bytes = b"abc".to_vec();
        bytes.resize(3 + (16 << 10) + 1, 0);
        assert_eq!(first, Sha256Sum::of(&bytes));
        assert_eq!(second, Sha256Sum::of(b"x"));
    }
}
