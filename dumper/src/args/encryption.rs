// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whom images are encrypted to, and the keys that decrypt them.

use super::UsageError;
use clap::Args;
use clap::builder::{PathBufValueParser, TypedValueParser};
use linpmem_encryption::{Identities, IdentityError, Recipients};
use std::ffi::OsString;
use std::path::PathBuf;

/// Whom everything that a run writes is encrypted to.
#[derive(Clone, Debug, Default, Args)]
pub struct EncryptArgs {
    /// Encrypt everything that is written or sent, so that only the holder of KEY can read it. Repeatable
    ///
    /// KEY is a public key of age (age1…), as age-keygen makes it. Image, manifest and artifacts
    /// are encrypted before they are written, and get names that end in .age; each holder of a
    /// key can decrypt all of them, with --identity or `age -d`. OUTPUT.age.json tells anybody what
    /// they are, and their SHA-256. See docs/encryption.md.
    #[arg(long, value_name = "KEY", help_heading = "Encryption")]
    pub encrypt_to: Vec<String>,

    /// The same for the public keys in FILE, one on each line. Repeatable
    #[arg(long, value_name = "FILE", help_heading = "Encryption")]
    pub recipients: Vec<PathBuf>,
}

impl EncryptArgs {
    /// Everybody who is named.
    ///
    /// # Errors
    /// If a name is no public key.
    pub fn recipients(&self) -> Result<Option<Recipients>, UsageError> {
        Recipients::collect(&self.encrypt_to, &self.recipients)
            .map_err(|error| UsageError::Recipients(error.to_string()))
    }
}

/// The private keys that decrypt images.
#[derive(Clone, Debug, Default, Args)]
pub struct IdentityArgs {
    /// Decrypt with the private key in FILE, as age-keygen writes it. Repeatable
    ///
    /// For IMAGE.age, its manifest and its artifacts. What is decrypted is not written anywhere.
    #[arg(long, value_name = "FILE")]
    #[arg(value_parser = PathBufValueParser::new().try_map(IdentityFile::read))]
    pub identity: Vec<IdentityFile>,
}

/// A file with private keys, and the keys.
#[derive(Clone, Debug)]
pub struct IdentityFile {
    path: PathBuf,
    keys: Identities,
}

impl IdentityFile {
    fn read(path: PathBuf) -> Result<Self, IdentityError> {
        Ok(Self {
            keys: Identities::read(&[&path])?,
            path,
        })
    }
}

impl IdentityArgs {
    /// The keys in all files.
    #[must_use]
    pub fn identities(&self) -> Identities {
        Identities::joined(self.identity.iter().map(|file| &file.keys))
    }

    /// The options as they were given.
    #[must_use]
    pub fn words(&self) -> Vec<OsString> {
        let files = self.identity.iter();
        files
            .flat_map(|file| [OsString::from("--identity"), file.path.clone().into()])
            .collect()
    }
}
