// SPDX-License-Identifier: MIT OR Apache-2.0
//! A file that is received.

use crate::sink::PartialFile;
use linpmem_phys::num::len_bytes;
use std::io;
use std::os::unix::fs::FileExt;

/// A file under its working name, and how long it is.
pub(super) struct Growing {
    pub(super) partial: PartialFile,
    length: u64,
}

impl Growing {
    /// `partial` as far as `length`: what is beyond was not on the disk for certain.
    pub(super) fn new(partial: PartialFile, length: u64) -> io::Result<Self> {
        let found = partial.file().metadata()?.len();
        if found < length {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "it is shorter than it was",
            ));
        }
        partial.file().set_len(length)?;
        Ok(Self { partial, length })
    }

    pub(super) const fn length(&self) -> u64 {
        self.length
    }

    pub(super) fn data(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.partial.file().write_all_at(bytes, self.length)?;
        self.length += len_bytes(bytes);
        Ok(())
    }

    /// Adds a hole.
    pub(super) fn zeros(&mut self, len: u64) -> io::Result<()> {
        let length = self.length.checked_add(len);
        let length = length.ok_or_else(|| io::Error::from(io::ErrorKind::FileTooLarge))?;
        self.partial.file().set_len(length)?;
        self.length = length;
        Ok(())
    }
}
