// SPDX-License-Identifier: MIT OR Apache-2.0
//! A signature that somebody made.

use super::{KeyId, PublicKey};
use crate::bounded;
use ct_codecs::{Base64, Decoder};
use minisign::SignatureBox;
use std::fmt;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// minisign's comments have 9 KiB at most.
const MAX_FILE_BYTES: u64 = 16 << 10;

/// A signature that cannot be read, or does not match.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// The file cannot be read.
    #[error("{path}: {source}")]
    File {
        /// The signature's file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The file is not a signature.
    #[error("this is not a signature of minisign: {0}")]
    NotASignature(String),
    /// It is of minisign's old kind, for which the whole file has to be in memory.
    #[error("this is a signature of minisign's old kind: sign again without -l")]
    Legacy,
    /// Another key made it.
    #[error("the key {found} made this signature, not the key {wanted}")]
    OtherKey {
        /// Which key made it, as it says.
        found: KeyId,
        /// Which key should have.
        wanted: KeyId,
    },
    /// It does not match.
    #[error(
        "the signature does not match: it is of another manifest, the manifest was changed, or the \
         signature was ({0})"
    )]
    Wrong(String),
}

/// A signature.
pub struct Signature {
    signature: SignatureBox,
    id: KeyId,
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature({})", self.id)
    }
}

impl Signature {
    /// Reads the signature at `path`.
    ///
    /// # Errors
    /// If it cannot be read, or is none.
    pub fn read(path: &Path) -> Result<Self, SignatureError> {
        let text = bounded::read_regular(path, MAX_FILE_BYTES).and_then(bounded::text);
        let text = text.map_err(|source| SignatureError::File {
            path: path.to_path_buf(),
            source,
        })?;
        Self::parse(&text)
    }

    /// The signature that `text` is.
    ///
    /// # Errors
    /// If it is none.
    pub fn parse(text: &str) -> Result<Self, SignatureError> {
        let not_one = |reason: &str| SignatureError::NotASignature(reason.to_owned());
        // The library takes a shorter one for whole.
        let global = text.lines().nth(3).unwrap_or_default();
        let global = Base64::decode_to_vec(global.trim(), None).unwrap_or_default();
        if global.len() != 64 {
            return Err(not_one("the fourth line is not that of a signature"));
        }
        let signature = SignatureBox::from_string(text);
        let signature =
            signature.map_err(|error| SignatureError::NotASignature(error.to_string()))?;
        if !signature.is_prehashed() {
            return Err(SignatureError::Legacy);
        }
        let id = KeyId::of(signature.keynum()).ok_or_else(|| not_one("it has no id"))?;
        Ok(Self { signature, id })
    }

    /// The key that made it, as it says. Anybody can write that.
    #[must_use]
    pub const fn key_id(&self) -> KeyId {
        self.id
    }

    /// Checks that `key` made it for `manifest`, which is read to its end. Returns the trusted
    /// comment.
    ///
    /// # Errors
    /// If it did not, or the manifest cannot be read.
    pub fn check(&self, key: &PublicKey, manifest: impl Read) -> Result<String, SignatureError> {
        let (found, wanted) = (self.id, key.id());
        if found != wanted {
            return Err(SignatureError::OtherKey { found, wanted });
        }
        let forward = Forward(manifest);
        minisign::verify(key.key(), &self.signature, forward, true, false, false)
            .and_then(|()| self.signature.trusted_comment())
            .map_err(|error| SignatureError::Wrong(error.to_string()))
    }
}

/// What is read once, from front to back. The library wants to go back only to print.
struct Forward<R>(R);

impl<R: Read> Read for Forward<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read(buf)
    }
}

impl<R> Seek for Forward<R> {
    fn seek(&mut self, _: SeekFrom) -> io::Result<u64> {
        Err(io::ErrorKind::NotSeekable.into())
    }
}
