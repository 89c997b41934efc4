// SPDX-License-Identifier: MIT OR Apache-2.0
//! The few buffers that all memory passes through.

use crossbeam_channel::{Receiver, Sender, bounded, never, select};
use std::convert::Infallible;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bytes of memory that are read, hashed, compressed and listed at a time.
pub const CHUNK_BYTES: usize = 1 << 20;

/// A limited number of buffers. A thread that wants one waits until one is returned, so
/// that a slow disk slows reading down instead of using more memory.
///
/// The buffer that was returned last is the next to be lent, and one is made only when all
/// others are lent: each is a megabyte of the memory that is being acquired.
pub struct Pool<T> {
    /// One for each buffer that may be lent.
    permits: Receiver<()>,
    /// How many buffers there may be in addition.
    more: AtomicUsize,
    shelf: Arc<Shelf<T>>,
    make: Box<dyn Fn() -> T + Send + Sync>,
    ended: Receiver<Infallible>,
}

/// Where buffers are that are not lent.
#[derive(Debug)]
struct Shelf<T> {
    buffers: Mutex<Vec<T>>,
    permits: Sender<()>,
}

/// One of a pool's buffers; it goes back when dropped.
#[derive(Debug)]
pub struct Pooled<T: Default> {
    buffer: T,
    shelf: Arc<Shelf<T>>,
}

impl<T: Default> Pool<T> {
    /// `count` buffers, each made by `make`.
    #[must_use]
    pub fn new(count: usize, make: impl Fn() -> T + Send + Sync + 'static) -> Self {
        Self::growing(count, count, make)
    }

    /// `first` buffers, and up to `most` after as many calls of [`grow`](Self::grow).
    #[must_use]
    pub fn growing(
        first: usize,
        most: usize,
        make: impl Fn() -> T + Send + Sync + 'static,
    ) -> Self {
        let most = most.max(first);
        let (give, permits) = bounded(most);
        for _ in 0..first {
            // The channel holds `most`.
            let _ = give.try_send(());
        }
        Self {
            permits,
            more: AtomicUsize::new(most - first),
            shelf: Arc::new(Shelf {
                buffers: Mutex::default(),
                permits: give,
            }),
            make: Box::new(make),
            ended: never(),
        }
    }

    /// Has threads wait for buffers only until the sender of `ended` is dropped.
    ///
    /// A channel keeps what was sent until both of its ends are gone. So if the threads
    /// behind a channel end early, the buffers in it do not come back while the thread in
    /// front of it waits for one.
    #[must_use]
    pub fn until(self, ended: Receiver<Infallible>) -> Self {
        Self { ended, ..self }
    }

    /// Waits for a buffer, which still has its old content. `None` if the run has ended.
    #[must_use]
    pub fn take(&self) -> Option<Pooled<T>> {
        select! {
            recv(self.permits) -> permit => permit.ok()?,
            recv(self.ended) -> _ => return None,
        };
        let returned = self.shelf.lock().pop();
        Some(Pooled {
            buffer: returned.unwrap_or_else(&self.make),
            shelf: Arc::clone(&self.shelf),
        })
    }

    /// Whether all buffers are lent.
    #[must_use]
    pub fn is_exhausted(&self) -> bool {
        self.permits.is_empty()
    }

    /// Allows one more buffer, unless there are as many as there may be.
    pub fn grow(&self) {
        let fewer = |more: usize| more.checked_sub(1);
        if (self
            .more
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, fewer))
        .is_ok()
        {
            self.shelf.allow_one();
        }
    }
}

impl<T> Shelf<T> {
    fn lock(&self) -> MutexGuard<'_, Vec<T>> {
        self.buffers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn allow_one(&self) {
        // The channel has room for all buffers. If the pool is gone, no thread waits.
        let _ = self.permits.try_send(());
    }
}

impl<T> fmt::Debug for Pool<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").finish_non_exhaustive()
    }
}

impl<T: Default> Deref for Pooled<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.buffer
    }
}

impl<T: Default> DerefMut for Pooled<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.buffer
    }
}

impl<T: Default + AsRef<[u8]>> AsRef<[u8]> for Pooled<T> {
    fn as_ref(&self) -> &[u8] {
        self.buffer.as_ref()
    }
}

impl<T: Default> Drop for Pooled<T> {
    fn drop(&mut self) {
        self.shelf.lock().push(std::mem::take(&mut self.buffer));
        self.shelf.allow_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use linpmem_phys::PageBuffer;

    #[test]
    fn a_thread_does_not_wait_for_buffers_after_the_end() {
        let (running, ended) = bounded(0);
        let pool = Pool::new(1, || PageBuffer::new(8)).until(ended);
        let (sender, receiver) = bounded(1);
        sender.send(pool.take().unwrap()).unwrap();
        // The buffer stays in the channel.
        drop(receiver);
        assert!(pool.is_exhausted());
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| pool.take().is_none());
            drop(running);
            assert!(waiting.join().unwrap());
        });
    }

    #[test]
    fn buffers_come_back_when_their_last_holder_drops_them() {
        let pool = Pool::new(2, || PageBuffer::new(8));
        let first = pool.take().unwrap();
        let mut second = pool.take().unwrap();
        second.set_len(3);
        assert!(pool.is_exhausted());
        let shared = Bytes::from_owner(second);
        let part = shared.slice(1..2);
        drop(shared);
        assert!(pool.is_exhausted());
        drop(part);
        assert_eq!(pool.permits.len(), 1);
        drop(first);
        assert_eq!(pool.permits.len(), 2);
    }

    #[test]
    fn no_more_buffers_are_made_than_are_lent_at_once() {
        let made = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&made);
        let pool = Pool::new(8, move || vec![count.fetch_add(1, Ordering::Relaxed)]);
        for _ in 0..20 {
            let [first, second] = [pool.take().unwrap(), pool.take().unwrap()];
            assert_ne!(*first, *second);
            drop(first);
            // The one that was just returned, while it is in a processor's cache.
            let third = pool.take().unwrap();
            assert_ne!(*third, *second);
        }
        assert_eq!(made.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn a_pool_grows_as_far_as_it_may() {
        let pool = Pool::growing(1, 3, || PageBuffer::new(8));
        let _first = pool.take().unwrap();
        assert!(pool.is_exhausted());
        for _ in 0..5 {
            pool.grow();
        }
        let _others = [pool.take().unwrap(), pool.take().unwrap()];
        assert!(pool.is_exhausted());
    }
}
