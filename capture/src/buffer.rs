// SPDX-License-Identifier: MIT OR Apache-2.0
//! The few buffers that all memory passes through.

use crossbeam_channel::{Receiver, Sender, bounded, never, select};
use std::convert::Infallible;
use std::ops::{Deref, DerefMut};

/// Bytes of memory that are read, hashed, compressed and listed at a time.
pub const CHUNK_BYTES: usize = 1 << 20;

/// A fixed number of buffers. A thread that wants one waits until one is returned, so
/// that a slow disk slows reading down instead of using more memory.
#[derive(Debug)]
pub struct Pool<T> {
    free: Receiver<T>,
    back: Sender<T>,
    ended: Receiver<Infallible>,
}

/// One of a pool's buffers; it goes back when dropped.
#[derive(Debug)]
pub struct Pooled<T: Default> {
    buffer: T,
    back: Sender<T>,
}

impl<T: Default> Pool<T> {
    /// `count` buffers, each made by `make`.
    #[must_use]
    pub fn new(count: usize, make: impl Fn() -> T) -> Self {
        let (back, free) = bounded(count);
        for _ in 0..count {
            // The channel holds `count`.
            let _ = back.try_send(make());
        }
        Self {
            free,
            back,
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
        let buffer = select! {
            recv(self.free) -> buffer => buffer.ok()?,
            recv(self.ended) -> _ => return None,
        };
        Some(Pooled {
            buffer,
            back: self.back.clone(),
        })
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
        // Fails only if the pool is gone, and then no thread is waiting for a buffer.
        let _ = self.back.try_send(std::mem::take(&mut self.buffer));
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
        assert!(pool.free.is_empty());
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
        assert!(pool.free.is_empty());
        let shared = Bytes::from_owner(second);
        let part = shared.slice(1..2);
        drop(shared);
        assert!(pool.free.is_empty());
        drop(part);
        assert_eq!(pool.free.len(), 1);
        drop(first);
        assert_eq!(pool.free.len(), 2);
    }
}
