// SPDX-License-Identifier: MIT OR Apache-2.0
//! The few buffers that all memory passes through.

use crossbeam_channel::{Receiver, Sender, bounded};

/// Bytes of memory that are read, hashed, compressed and listed at a time.
pub const CHUNK_BYTES: usize = 1 << 20;

/// A fixed number of buffers. Whoever wants one waits until another gave its
/// own back, so a slow disk slows the reading and takes no more memory.
#[derive(Debug)]
pub struct Pool {
    free: Receiver<Memory>,
    back: Sender<Memory>,
    data_bytes: usize,
}

#[derive(Debug, Default)]
struct Memory {
    data: Vec<u8>,
    frame: Vec<u8>,
}

/// One of a pool's buffers; it goes back when dropped.
#[derive(Debug)]
pub struct Buffer {
    memory: Memory,
    back: Sender<Memory>,
}

impl Pool {
    /// `count` buffers for `data_bytes` of memory each and for a compressed form
    /// of at most `frame_bytes`.
    #[must_use]
    pub fn new(count: usize, data_bytes: usize, frame_bytes: usize) -> Self {
        let (back, free) = bounded(count);
        for _ in 0..count {
            let memory = Memory {
                data: vec![0; data_bytes],
                frame: Vec::with_capacity(frame_bytes),
            };
            // The channel holds `count`.
            let _ = back.try_send(memory);
        }
        Self {
            free,
            back,
            data_bytes,
        }
    }

    /// A buffer whose data is `len` bytes long, with whatever it held before. It
    /// is shorter if the pool's buffers are.
    #[must_use]
    pub fn take(&self, len: usize) -> Option<Buffer> {
        let mut memory = self.free.recv().ok()?;
        memory.frame.clear();
        memory.data.resize(len.min(self.data_bytes), 0);
        Some(Buffer {
            memory,
            back: self.back.clone(),
        })
    }
}

impl Buffer {
    /// The bytes of memory.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        &self.memory.data
    }

    /// The bytes of memory, to be filled.
    pub fn data_mut(&mut self) -> &mut [u8] {
        &mut self.memory.data
    }

    /// Lets `fill` have the bytes of memory as they are owned, and takes what it
    /// gives back.
    ///
    /// # Errors
    /// Those of `fill`; the buffer is then empty.
    pub fn fill<E>(&mut self, fill: impl FnOnce(Vec<u8>) -> Result<Vec<u8>, E>) -> Result<(), E> {
        self.memory.data = fill(std::mem::take(&mut self.memory.data))?;
        Ok(())
    }

    /// The compressed form; empty until someone made it.
    #[must_use]
    pub fn frame(&self) -> &[u8] {
        &self.memory.frame
    }

    /// The bytes of memory, and where their compressed form goes.
    pub fn data_and_frame(&mut self) -> (&[u8], &mut Vec<u8>) {
        (&self.memory.data, &mut self.memory.frame)
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // Fails only if the pool is gone, and then nobody waits for it.
        let _ = self.back.try_send(std::mem::take(&mut self.memory));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_come_back_when_dropped() {
        let pool = Pool::new(2, 8, 4);
        let first = pool.take(8).unwrap();
        let mut second = pool.take(3).unwrap();
        second.data_and_frame().1.push(1);
        assert_eq!((first.data().len(), second.data().len()), (8, 3));
        assert!(pool.free.is_empty());
        drop(second);
        assert!(pool.take(8).unwrap().frame().is_empty());
        drop(first);
        assert_eq!(pool.free.len(), 2);
    }
}
