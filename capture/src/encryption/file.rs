// SPDX-License-Identifier: MIT OR Apache-2.0
//! The small files of an encrypted image.

use super::EncryptedSum;
use crate::hash::sha256_of;
use linpmem_encryption::{Encryption, Recipients};
use linpmem_phys::num::len_bytes;
use sha2::{Digest, Sha256};
use std::fmt;
use std::fs::File;
use std::io::{self, Write};

/// Encrypts what is written to it.
pub(crate) struct EncryptedWriter<W> {
    out: W,
    encryption: Encryption,
    ready: Vec<u8>,
    hasher: Sha256,
    length: u64,
}

impl<W: Write> EncryptedWriter<W> {
    /// Encrypts to `recipients`, into `out`, which must be empty.
    ///
    /// # Errors
    /// If the system has no random numbers.
    pub(crate) fn new(out: W, recipients: &Recipients) -> io::Result<Self> {
        let mut ready = Vec::new();
        Ok(Self {
            out,
            encryption: Encryption::begin(recipients, &mut ready)?,
            ready,
            hasher: Sha256::new(),
            length: 0,
        })
    }

    /// Ends what was written. Returns where it went, and its sum.
    ///
    /// # Errors
    /// Those of where it goes.
    pub(crate) fn finish(mut self) -> io::Result<(W, EncryptedSum)> {
        self.encryption.finish(&mut self.ready)?;
        self.length += len_bytes(&self.ready);
        self.hasher.update(&self.ready);
        self.out.write_all(&self.ready)?;
        let sum = EncryptedSum {
            length: self.length,
            sha256: sha256_of(self.hasher),
        };
        Ok((self.out, sum))
    }
}

impl EncryptedWriter<File> {
    /// Ends the file and syncs it. Returns its sum.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn finish_file(self) -> io::Result<EncryptedSum> {
        let (file, sum) = self.finish()?;
        // Releases what was reserved and not used.
        file.set_len(sum.length)?;
        file.sync_all()?;
        Ok(sum)
    }
}

impl<W: Write> Write for EncryptedWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.encryption.push(bytes, &mut self.ready)?;
        if !self.ready.is_empty() {
            self.out.write_all(&self.ready)?;
            self.hasher.update(&self.ready);
            self.length += len_bytes(&self.ready);
            self.ready.clear();
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<W: fmt::Debug> fmt::Debug for EncryptedWriter<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EncryptedWriter({:?})", self.out)
    }
}
