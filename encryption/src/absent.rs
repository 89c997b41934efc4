// SPDX-License-Identifier: MIT OR Apache-2.0
//! The same types where nothing can be encrypted or decrypted: there are no recipients,
//! identities or encrypted files, and attempts to have some say why.

use crate::error::{IdentityError, OpenError, RecipientError};
use std::convert::Infallible;
use std::fs::File;
use std::io;
use std::path::Path;

/// The public keys that files are encrypted to. There are none.
#[derive(Clone, Debug)]
pub struct Recipients(Infallible);

/// The private keys that a program has. There are none.
#[derive(Clone, Debug, Default)]
pub struct Identities;

/// A stream that is being encrypted. There is none.
pub struct Encryption(Infallible);

/// The content of an encrypted file. There is none.
#[derive(Debug)]
pub struct EncryptedFile(Infallible);

impl Recipients {
    /// No recipients, if none are named.
    ///
    /// # Errors
    /// If any are named.
    pub fn collect(
        keys: &[String],
        files: &[impl AsRef<Path>],
    ) -> Result<Option<Self>, RecipientError> {
        match keys.is_empty() && files.is_empty() {
            true => Ok(None),
            false => Err(RecipientError::NotBuilt),
        }
    }

    /// The public keys.
    #[must_use]
    pub fn public_keys(&self) -> Vec<String> {
        match self.0 {}
    }
}

impl Identities {
    /// No private keys, if no files are named.
    ///
    /// # Errors
    /// If any are named.
    pub fn read(paths: &[impl AsRef<Path>]) -> Result<Self, IdentityError> {
        match paths.is_empty() {
            true => Ok(Self),
            false => Err(IdentityError::NotBuilt),
        }
    }

    /// The keys of all of them.
    pub fn joined<'a>(_: impl IntoIterator<Item = &'a Self>) -> Self {
        Self
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        true
    }
}

impl Encryption {
    /// Begins a stream for `recipients`, of whom there are none.
    ///
    /// # Errors
    /// None.
    pub fn begin(recipients: &Recipients, _: &mut Vec<u8>) -> io::Result<Self> {
        match recipients.0 {}
    }

    /// Encrypts bytes.
    ///
    /// # Errors
    /// None.
    pub fn push(&mut self, _: &[u8], _: &mut Vec<u8>) -> io::Result<()> {
        match self.0 {}
    }

    /// Ends the stream.
    ///
    /// # Errors
    /// None.
    pub fn finish(self, _: &mut Vec<u8>) -> io::Result<()> {
        match self.0 {}
    }
}

impl EncryptedFile {
    /// Says that this build cannot decrypt.
    ///
    /// # Errors
    /// Always.
    pub fn open(_: File, _: &Identities) -> Result<Self, OpenError> {
        Err(OpenError::NotBuilt)
    }

    /// Bytes of the content.
    #[must_use]
    pub const fn len(&self) -> u64 {
        match self.0 {}
    }

    /// Whether there is no content.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        match self.0 {}
    }

    /// Whether the end of the file is missing.
    #[must_use]
    pub const fn is_cut(&self) -> bool {
        match self.0 {}
    }

    /// Reads the content.
    ///
    /// # Errors
    /// None.
    pub fn read_exact_at(&self, _: u64, _: &mut [u8]) -> io::Result<()> {
        match self.0 {}
    }
}
