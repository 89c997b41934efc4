// SPDX-License-Identifier: MIT OR Apache-2.0
//! The secret key that signs.

use super::{KeyId, Subject};
use crate::bounded;
use ct_codecs::{Base64, Decoder};
use minisign::{SecretKey, SecretKeyBox};
use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// minisign's own are a fifth of it.
const MAX_FILE_BYTES: u64 = 4 << 10;

/// As much as minisign reads of one.
const MAX_PASSWORD_BYTES: u64 = 1 << 10;

/// The most that minisign asks of scrypt (libsodium's limits for sensitive keys). A key with
/// more is not one of minisign's, and would take the machine's memory or hours.
const MAX_OPERATIONS: u64 = 33_554_432;
const MAX_MEMORY_BYTES: u64 = 1 << 30;

/// A longer name of an image does not fit into the comment that minisign reads.
const MAX_COMMENT_BYTES: usize = 4 << 10;

/// A key that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The file cannot be read.
    #[error("the signing key {path}: {source}")]
    File {
        /// The key's file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The file is not a key.
    #[error(
        "{path} is not a secret key of minisign: it should have a line that begins with `untrusted \
         comment:` and one of base64 (`minisign -G -s KEY` makes one, `-W` without a password)"
    )]
    NotAKey {
        /// The key's file.
        path: PathBuf,
    },
    /// It asks for more memory or time than any key of minisign.
    #[error(
        "the signing key {path} asks for {memory_bytes} bytes of memory and {operations} operations \
         to be unlocked, more than any key that minisign makes: it is damaged or forged"
    )]
    TooCostly {
        /// The key's file.
        path: PathBuf,
        /// Bytes that scrypt should take.
        memory_bytes: u64,
        /// Operations that scrypt should make.
        operations: u64,
    },
    /// It is protected, and there is no password.
    #[error(
        "the signing key {path} is protected by a password: name a file that has it with \
         --sign-password-file, or set LINPMEM_SIGN_PASSWORD"
    )]
    Protected {
        /// The key's file.
        path: PathBuf,
    },
    /// The password is wrong, or the key is damaged.
    #[error("the signing key {path} cannot be unlocked: {reason}")]
    Locked {
        /// The key's file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// A manifest that could not be signed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignError {
    /// The manifest cannot be read, or the system has no random numbers.
    #[error("signing failed: {0}")]
    Failed(String),
    /// The image's name does not fit.
    #[error("the image's name is too long to be part of a signature")]
    LongName,
}

/// A password that cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("the password of the signing key, from {path}: {source}")]
pub struct PasswordError {
    /// Its file.
    pub path: PathBuf,
    /// The system's reason.
    pub source: io::Error,
}

/// A password, which is never shown.
#[derive(Clone)]
pub struct Password(String);

impl Password {
    /// This password.
    #[must_use]
    pub const fn new(password: String) -> Self {
        Self(password)
    }

    /// The first line of the file at `path`.
    ///
    /// # Errors
    /// If it cannot be read, or has more than 1 KiB.
    pub fn read(path: &Path) -> Result<Self, PasswordError> {
        let text = bounded::read_text(path, MAX_PASSWORD_BYTES);
        let text = text.map_err(|source| PasswordError {
            path: path.to_path_buf(),
            source,
        })?;
        Ok(Self(text.lines().next().unwrap_or_default().to_owned()))
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// A file that has a secret key, which may be protected by a password.
pub struct KeyFile {
    path: PathBuf,
    text: String,
    bytes: Vec<u8>,
    /// What scrypt needs to unlock it.
    scrypt: Option<ScryptCost>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ScryptCost {
    operations: u64,
    memory_bytes: u64,
}

impl KeyFile {
    /// Reads the key at `path`.
    ///
    /// # Errors
    /// If it cannot be read, or is not a key.
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        let text = bounded::read_text(path, MAX_FILE_BYTES);
        let text = text.map_err(|source| KeyError::File {
            path: path.to_path_buf(),
            source,
        })?;
        let not_a_key = || KeyError::NotAKey {
            path: path.to_path_buf(),
        };
        let bytes = decode(&text).ok_or_else(not_a_key)?;
        let scrypt = cost(&bytes).ok_or_else(not_a_key)?;
        if let Some(ScryptCost {
            operations,
            memory_bytes,
        }) = scrypt
            .filter(|cost| cost.operations > MAX_OPERATIONS || cost.memory_bytes > MAX_MEMORY_BYTES)
        {
            return Err(KeyError::TooCostly {
                path: path.to_path_buf(),
                memory_bytes,
                operations,
            });
        }
        Ok(Self {
            path: path.to_path_buf(),
            text,
            bytes,
            scrypt,
        })
    }

    /// Bytes of memory that unlocking the key takes; `None` if no password protects it.
    #[must_use]
    pub fn unlocking_bytes(&self) -> Option<u64> {
        self.scrypt.map(|cost| cost.memory_bytes)
    }

    /// The key, unlocked by `password` if it is protected.
    ///
    /// # Errors
    /// If the password is missing or wrong, or the key is damaged.
    pub fn unlock(self, password: Option<Password>) -> Result<SigningKey, KeyError> {
        let Self {
            path,
            text,
            bytes,
            scrypt,
        } = self;
        let secret = match (scrypt, password) {
            // minisign gives keys without a password no checksum, which the library misses.
            (None, _) => SecretKey::from_bytes(&bytes),
            (Some(_), Some(password)) => SecretKeyBox::from(text).into_secret_key(Some(password.0)),
            (Some(_), None) => return Err(KeyError::Protected { path }),
        };
        let failed = |reason: String| KeyError::Locked {
            path: path.clone(),
            reason,
        };
        let secret = secret.map_err(|error| failed(error.to_string()))?;
        let public = minisign::PublicKey::from_secret_key(&secret);
        let public = public.map_err(|error| failed(error.to_string()))?;
        let id = KeyId::of(secret.keynum()).ok_or_else(|| failed("it has no id".to_owned()))?;
        let key = SigningKey { secret, public, id };
        // Both halves of a key are in the file, and a damaged one signs what nobody can check.
        let is_sound = key.is_sound();
        is_sound
            .then_some(key)
            .ok_or_else(|| failed("it is damaged".to_owned()))
    }
}

/// The bytes of the key in `text`; `None` if there is none.
fn decode(text: &str) -> Option<Vec<u8>> {
    let mut lines = text.lines();
    if !lines.next()?.starts_with("untrusted comment:") {
        return None;
    }
    Base64::decode_to_vec(lines.next()?.trim(), None).ok()
}

/// What unlocking the key `bytes` costs, if it is protected; `None` if it is not a key.
///
/// Format: two bytes each of the algorithms of signature (`Ed`), key derivation (`Sc`, or zeros)
/// and checksum, 32 bytes of salt, 8 bytes each of operations and of memory, little-endian, and
/// 104 bytes of key id, key and checksum.
fn cost(bytes: &[u8]) -> Option<Option<ScryptCost>> {
    let number = |from: usize| {
        let bytes = bytes.get(from..)?.first_chunk()?;
        Some(u64::from_le_bytes(*bytes))
    };
    if bytes.len() != 158 || !bytes.starts_with(b"Ed") {
        return None;
    }
    match bytes.get(2..4)? {
        [0, 0] => Some(None),
        b"Sc" => Some(Some(ScryptCost {
            operations: number(38)?,
            memory_bytes: number(46)?,
        })),
        _ => None,
    }
}

/// A key that can sign.
pub struct SigningKey {
    secret: SecretKey,
    public: minisign::PublicKey,
    id: KeyId,
}

// The library's own would print the key.
impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.id)
    }
}

impl SigningKey {
    /// What tells it from others.
    #[must_use]
    pub const fn id(&self) -> KeyId {
        self.id
    }

    /// The public key that goes with it, in base64.
    #[must_use]
    pub fn public_key(&self) -> String {
        self.public.to_base64()
    }

    /// Whether what it signs can be checked with its public key.
    fn is_sound(&self) -> bool {
        minisign::sign(
            Some(&self.public),
            &self.secret,
            io::empty(),
            Some(""),
            None,
        )
        .is_ok()
    }

    /// The signature of `manifest`, which is read to its end: the content of a `.minisig` file.
    ///
    /// # Errors
    /// If the manifest cannot be read, or the image's name is absurdly long.
    pub fn sign(&self, manifest: impl Read, subject: &Subject<'_>) -> Result<String, SignError> {
        self.sign_as("linpmem-dump", manifest, &subject.to_string())
    }

    /// The signature of any file by the program `signer`, with a trusted comment: a line of
    /// printable ASCII.
    ///
    /// # Errors
    /// If the file cannot be read, or the comment is absurdly long.
    pub fn sign_as(
        &self,
        signer: &str,
        file: impl Read,
        trusted: &str,
    ) -> Result<String, SignError> {
        if trusted.len() > MAX_COMMENT_BYTES {
            return Err(SignError::LongName);
        }
        let untrusted = format!("signature by {signer} with the key {}", self.id);
        let signed = minisign::sign(
            Some(&self.public),
            &self.secret,
            file,
            Some(trusted),
            Some(&untrusted),
        );
        signed
            .map(|signature| signature.to_string())
            .map_err(|error| SignError::Failed(error.to_string()))
    }
}
