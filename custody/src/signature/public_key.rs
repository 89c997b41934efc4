// SPDX-License-Identifier: MIT OR Apache-2.0
//! The public key that checks a signature.

use super::KeyId;
use crate::bounded;
use ct_codecs::{Base64, Decoder};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// minisign's own are a tenth of it.
const MAX_FILE_BYTES: u64 = 4 << 10;

/// A public key that cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublicKeyError {
    /// There is neither a key nor a file.
    #[error(
        "{path} is neither a public key of minisign (56 characters that begin with RW) nor a file \
         that has one: {source}"
    )]
    File {
        /// What was given.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The file is not a key.
    #[error("{path} is not a public key of minisign: the last line of such a file begins with RW")]
    NotAKey {
        /// The key's file.
        path: PathBuf,
    },
}

/// A public key of minisign.
#[derive(Clone)]
pub struct PublicKey {
    key: minisign::PublicKey,
    id: KeyId,
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.id)
    }
}

impl PublicKey {
    /// The key that `text` is, or that is in the file of this name.
    ///
    /// # Errors
    /// If it is neither.
    pub fn of(text: &str) -> Result<Self, PublicKeyError> {
        if let Some(key) = Self::parse(text) {
            return Ok(key);
        }
        let path = Path::new(text);
        let content = bounded::read_text(path, MAX_FILE_BYTES);
        let content = content.map_err(|source| PublicKeyError::File {
            path: path.to_path_buf(),
            source,
        })?;
        // A comment goes before the key, if there is one.
        let last = content.lines().rfind(|line| !line.trim().is_empty());
        last.and_then(Self::parse)
            .ok_or_else(|| PublicKeyError::NotAKey {
                path: path.to_path_buf(),
            })
    }

    /// The key in a line of base64: the algorithm (`Ed`), 8 bytes of id, and 32 bytes.
    fn parse(line: &str) -> Option<Self> {
        let bytes = Base64::decode_to_vec(line.trim(), None).ok()?;
        if bytes.len() != 42 || !bytes.starts_with(b"Ed") {
            return None;
        }
        let key = minisign::PublicKey::from_bytes(&bytes).ok()?;
        let id = KeyId::of(key.keynum())?;
        Some(Self { key, id })
    }

    /// What tells it from others.
    #[must_use]
    pub const fn id(&self) -> KeyId {
        self.id
    }

    pub(super) const fn key(&self) -> &minisign::PublicKey {
        &self.key
    }
}
