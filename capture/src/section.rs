// SPDX-License-Identifier: MIT OR Apache-2.0
//! A part of what can be read at any offset, as a stream.

use linpmem_formats::ReadAt;
use linpmem_phys::num::{len_bytes, u64_as_usize};
use std::io::{self, Read};
use std::sync::Arc;

/// Consecutive bytes of `bytes`.
///
/// # Invariants
/// `next` is at most `end`.
pub(crate) struct Section {
    bytes: Arc<dyn ReadAt>,
    next: u64,
    end: u64,
}

impl Section {
    /// All of `bytes`.
    pub(crate) fn whole(bytes: Arc<dyn ReadAt>) -> Self {
        Self {
            next: 0,
            end: bytes.len(),
            bytes,
        }
    }

    /// `len` bytes from `offset` on.
    ///
    /// # Errors
    /// If no file can have that many.
    pub(crate) fn new(bytes: Arc<dyn ReadAt>, offset: u64, len: u64) -> io::Result<Self> {
        Ok(Self {
            bytes,
            next: offset,
            end: offset
                .checked_add(len)
                .ok_or(io::ErrorKind::UnexpectedEof)?,
        })
    }
}

impl Section {
    /// The offset of what is read next.
    pub(crate) const fn position(&self) -> u64 {
        self.next
    }
}

/// The same bytes, at any offset.
#[derive(Clone)]
pub(crate) struct Excerpt {
    bytes: Arc<dyn ReadAt>,
    offset: u64,
    len: u64,
}

impl Excerpt {
    /// `len` bytes of `bytes` from `offset` on.
    ///
    /// # Errors
    /// If there are fewer.
    pub(crate) fn new(bytes: Arc<dyn ReadAt>, offset: u64, len: u64) -> io::Result<Self> {
        let end = offset.checked_add(len);
        match end.is_some_and(|end| end <= bytes.len()) {
            true => Ok(Self { bytes, offset, len }),
            false => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

impl ReadAt for Excerpt {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let end = offset.checked_add(len_bytes(buf));
        match end.is_some_and(|end| end <= self.len) {
            // The excerpt is within the bytes.
            true => self.bytes.read_exact_at(self.offset + offset, buf),
            false => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

impl Read for Section {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let left = u64_as_usize(self.end - self.next);
        let (piece, _) = buf.split_at_mut(left.min(buf.len()));
        self.bytes.read_exact_at(self.next, piece)?;
        self.next += len_bytes(piece);
        Ok(piece.len())
    }
}
