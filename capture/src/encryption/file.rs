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

/// Encrypts what is written to it, into a file.
pub(crate) struct EncryptedWriter {
    file: File,
    encryption: Encryption,
    ready: Vec<u8>,
    hasher: Sha256,
    length: u64,
}

impl EncryptedWriter {
    /// Encrypts to `recipients`, into `file`, which must be empty.
    ///
    /// # Errors
    /// If the system has no random numbers.
    pub(crate) fn new(file: File, recipients: &Recipients) -> io::Result<Self> {
        let mut ready = Vec::new();
        Ok(Self {
            file,
            encryption: Encryption::begin(recipients, &mut ready)?,
            ready,
            hasher: Sha256::new(),
            length: 0,
        })
    }

    /// Ends the file and syncs it. Returns its sum.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn finish(mut self) -> io::Result<EncryptedSum> {
        self.encryption.finish(&mut self.ready)?;
        self.length += len_bytes(&self.ready);
        self.hasher.update(&self.ready);
        self.file.write_all(&self.ready)?;
        // Releases what was reserved and not used.
        self.file.set_len(self.length)?;
        self.file.sync_all()?;
        Ok(EncryptedSum {
            length: self.length,
            sha256: sha256_of(self.hasher),
        })
    }
}

impl Write for EncryptedWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.encryption.push(bytes, &mut self.ready)?;
        if !self.ready.is_empty() {
            self.file.write_all(&self.ready)?;
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

impl fmt::Debug for EncryptedWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EncryptedWriter({:?})", self.file)
    }
}
