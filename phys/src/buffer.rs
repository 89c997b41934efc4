// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory for whole pages.

use crate::PAGE_SIZE;
use crate::num::u64_as_usize;
use std::fmt;
use std::ops::{Deref, DerefMut};

/// Bytes that begin at a page boundary of this process: direct I/O requires that, and
/// the kernel copies into such memory fastest.
///
/// # Invariants
/// `begin + len` is within `memory`, which is never reallocated: the bytes stay where
/// they are.
#[derive(Default)]
pub struct PageBuffer {
    memory: Vec<u8>,
    begin: usize,
    len: usize,
}

impl PageBuffer {
    /// `len` zero bytes.
    #[must_use]
    pub fn new(len: usize) -> Self {
        let page = u64_as_usize(PAGE_SIZE.get());
        let memory = vec![0; len + page];
        // An allocation that cannot be aligned is used as it is.
        let begin = match memory.as_ptr().align_offset(page) {
            begin if begin < page => begin,
            _ => 0,
        };
        Self { memory, begin, len }
    }

    /// The most bytes there can be without new memory.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.memory.len() - self.begin
    }

    /// Makes it `len` bytes long. The bytes are whatever they were; all of them are zero
    /// if there was not enough memory and it had to be replaced.
    pub fn set_len(&mut self, len: usize) {
        if len > self.capacity() {
            *self = Self::new(len);
        }
        self.len = len;
    }
}

impl Deref for PageBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        let (_, bytes) = self.memory.split_at(self.begin);
        let (bytes, _) = bytes.split_at(self.len);
        bytes
    }
}

impl DerefMut for PageBuffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        let (_, bytes) = self.memory.split_at_mut(self.begin);
        let (bytes, _) = bytes.split_at_mut(self.len);
        bytes
    }
}

impl AsRef<[u8]> for PageBuffer {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for PageBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PageBuffer")
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn begins_at_a_page_border_and_stays_there() {
        for len in [0, 1, 4096, 1 << 20] {
            let mut buffer = PageBuffer::new(len);
            assert_eq!(buffer.len(), len);
            assert_eq!(buffer.as_ptr().align_offset(4096), 0, "{len}");
            let at = buffer.as_ptr();
            buffer.set_len(len / 2);
            buffer.set_len(len);
            let moved = buffer;
            assert_eq!((moved.len(), moved.as_ptr()), (len, at));
        }
        let mut empty = PageBuffer::default();
        assert_eq!((empty.len(), empty.capacity()), (0, 0));
        empty.set_len(8192);
        assert_eq!(empty.len(), 8192);
        assert_eq!(empty.as_ptr().align_offset(4096), 0);
    }
}
