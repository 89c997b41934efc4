// SPDX-License-Identifier: MIT OR Apache-2.0
//! The receiver's key: what its address names, and what its receipts are signed with.

use data_encoding::BASE64URL_NOPAD;
use ring::rand::SystemRandom;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// An Ed25519 key in SubjectPublicKeyInfo is these bytes and the key (RFC 8410, section 4).
const SPKI_PREFIX: [u8; 12] = [48, 42, 48, 5, 6, 3, 43, 101, 112, 3, 33, 0];

/// Bytes that no key's file has.
const MAX_KEY_FILE_BYTES: u64 = 4096;

/// The receiver's Ed25519 public key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey([u8; 32]);

/// A signature by an [`Identity`], in base64 (the alphabet for URLs, no padding).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Signature(String);

/// The receiver's key pair.
pub struct Identity {
    pkcs8: Vec<u8>,
    pair: Ed25519KeyPair,
}

/// A key that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// The file cannot be read or written.
    #[error("the key {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// It holds something else.
    #[error(
        "the key {path} is not an Ed25519 key in PKCS #8 (version 2, DER), as `receive --key` \
         makes it in a file that does not exist yet"
    )]
    NotAKey {
        /// The file.
        path: PathBuf,
    },
    /// Others can read it.
    #[error(
        "the key {path} can be read by others than its owner (mode {mode:o}): chmod 600 it, or \
         better make a new one"
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The system cannot make one.
    #[error("the system has no random numbers for a key")]
    NoRandomNumbers,
}

impl PublicKey {
    /// Characters of a key in an address.
    pub(crate) const TEXT_LEN: usize = 43;

    /// The key that `text` spells; `None` if it does not spell one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).ok()?;
        bytes.try_into().ok().map(Self)
    }

    /// As the handshake shows it.
    pub(crate) fn spki(self) -> Vec<u8> {
        [&SPKI_PREFIX[..], &self.0].concat()
    }

    /// Whether `signature` is that of this key's owner over `message`.
    #[must_use]
    pub fn verifies(self, message: &[u8], signature: &Signature) -> bool {
        BASE64URL_NOPAD
            .decode(signature.0.as_bytes())
            .is_ok_and(|bytes| {
                UnparsedPublicKey::new(&ED25519, self.0)
                    .verify(message, &bytes)
                    .is_ok()
            })
    }
}

impl Identity {
    /// A new key that is kept nowhere.
    ///
    /// # Errors
    /// If the system has no random numbers.
    pub fn generate() -> Result<Self, IdentityError> {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new())
            .map_err(|_| IdentityError::NoRandomNumbers)?;
        let pkcs8 = document.as_ref().to_vec();
        Self::from_pkcs8(pkcs8).ok_or(IdentityError::NoRandomNumbers)
    }

    /// The key in the file at `path`, which is made if it does not exist.
    ///
    /// # Errors
    /// If the file can be read by others, holds something else, or cannot be written.
    pub fn load_or_create(path: &Path) -> Result<Self, IdentityError> {
        let failed = |source| IdentityError::Io {
            path: path.to_path_buf(),
            source,
        };
        let file = match fs::File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Self::create(path),
            opened => opened.map_err(failed)?,
        };
        let metadata = file.metadata().map_err(failed)?;
        let path = || path.to_path_buf();
        if !metadata.is_file() {
            return Err(IdentityError::NotAKey { path: path() });
        }
        let mode = metadata.mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(IdentityError::Exposed { path: path(), mode });
        }
        let mut pkcs8 = Vec::new();
        file.take(MAX_KEY_FILE_BYTES)
            .read_to_end(&mut pkcs8)
            .map_err(failed)?;
        Self::from_pkcs8(pkcs8).ok_or_else(|| IdentityError::NotAKey { path: path() })
    }

    fn create(path: &Path) -> Result<Self, IdentityError> {
        let identity = Self::generate()?;
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .and_then(|mut file| {
                file.write_all(&identity.pkcs8)?;
                file.sync_all()
            })
            .map_err(|source| IdentityError::Io {
                path: path.to_path_buf(),
                source,
            })?;
        Ok(identity)
    }

    fn from_pkcs8(pkcs8: Vec<u8>) -> Option<Self> {
        let pair = Ed25519KeyPair::from_pkcs8(&pkcs8).ok()?;
        Some(Self { pkcs8, pair })
    }

    /// What others know it by.
    ///
    /// # Panics
    /// Never: every such key has 32 bytes.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        let bytes = self.pair.public_key().as_ref();
        PublicKey(bytes.try_into().unwrap_or_default())
    }

    /// Signs `message`.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Signature {
        Signature(BASE64URL_NOPAD.encode(self.pair.sign(message).as_ref()))
    }

    /// For the handshake.
    pub(crate) fn pkcs8(&self) -> &[u8] {
        &self.pkcs8
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64URL_NOPAD.encode(&self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({})", self.public_key())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_key_is_kept_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let made = Identity::load_or_create(&path).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let loaded = Identity::load_or_create(&path).unwrap();
        assert_eq!(loaded.public_key(), made.public_key());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let error = Identity::load_or_create(&path).unwrap_err().to_string();
        assert!(error.contains("mode 640"), "{error}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, b"ssh-ed25519").unwrap();
        assert!(matches!(
            Identity::load_or_create(&path),
            Err(IdentityError::NotAKey { .. })
        ));
        assert!(matches!(
            Identity::load_or_create(folder.path()),
            Err(IdentityError::NotAKey { .. })
        ));
    }

    #[test]
    fn a_signature_is_that_of_one_key_over_one_message() {
        let (own, other) = (Identity::generate().unwrap(), Identity::generate().unwrap());
        let signature = own.sign(b"a");
        let key = PublicKey::parse(&own.public_key().to_string()).unwrap();
        assert!(key.verifies(b"a", &signature));
        assert!(!key.verifies(b"b", &signature));
        assert!(!other.public_key().verifies(b"a", &signature));
        assert!(!key.verifies(b"a", &Signature("x".to_owned())));
    }
}
