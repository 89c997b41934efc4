// SPDX-License-Identifier: MIT OR Apache-2.0
//! What can go wrong.

use crate::layout::{MAX_HEADER_BYTES, MAX_RECIPIENTS};
use std::io;
use std::path::PathBuf;

/// Nothing can be encrypted to these recipients.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecipientError {
    /// A text that is no public key. It is not shown: it may be a secret.
    #[error("{place} is not a public key of age (age1…): {reason}")]
    NotAKey {
        /// Where the text is.
        place: String,
        /// What it is instead.
        reason: &'static str,
    },
    /// The file with them cannot be read.
    #[error("reading recipients from {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The file has none.
    #[error("{0} has no recipients: put a public key (age1…) on each line")]
    Empty(PathBuf),
    /// There are more than a header has room for.
    #[error("there are {0} recipients, and a file can have {MAX_RECIPIENTS}")]
    TooMany(usize),
    /// This program was built without encryption.
    #[error("this build cannot encrypt: it was made without the Cargo feature `encrypt`")]
    NotBuilt,
}

/// Private keys that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// The file with them cannot be read.
    #[error("reading the private key from {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The file is protected by a passphrase.
    #[error(
        "{0} is protected by a passphrase, which is not asked for here: write the key into memory \
         with `age -d -o /dev/shm/key.txt FILE`, name that, and remove it afterwards"
    )]
    Passphrase(PathBuf),
    /// A line is no private key. It is not shown: it may be a secret.
    #[error("{path}, line {line}, is not a private key of age (AGE-SECRET-KEY-1…): {reason}")]
    NotAKey {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What it is instead.
        reason: &'static str,
    },
    /// The file has none.
    #[error("{0} has no private key (AGE-SECRET-KEY-1…)")]
    Empty(PathBuf),
    /// This program was built without encryption.
    #[error("this build cannot decrypt: it was made without the Cargo feature `encrypt`")]
    NotBuilt,
}

/// An encrypted file that cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// No private key was named.
    #[error("this is encrypted (age): name the file with the private key by --identity")]
    Locked,
    /// It was encrypted to others.
    #[error(
        "this is encrypted (age), and to none of the private keys that were named by --identity"
    )]
    WrongIdentity,
    /// It was encrypted with a passphrase.
    #[error("this is encrypted (age) with a passphrase: decrypt it with `age -d`")]
    Passphrase,
    /// It is text.
    #[error(
        "this is encrypted (age) and in the form of text (armor), which cannot be read at random: \
         decrypt it with `age -d`"
    )]
    Armored,
    /// The header has no end.
    #[error(
        "this is encrypted (age), and its header has no end within {MAX_HEADER_BYTES} bytes: it was \
         cut off or changed"
    )]
    EndlessHeader,
    /// The header is damaged.
    #[error("this is encrypted (age), and its header is damaged: it was cut off or changed")]
    DamagedHeader,
    /// Another version of the format.
    #[error("this is encrypted (age) in a version of the format that is not known: use `age -d`")]
    UnknownVersion,
    /// There is not even one whole chunk.
    #[error(
        "this is encrypted (age), and nothing of its content can be read: it ends {0} bytes after \
         its header, or was changed"
    )]
    NoContent(u64),
    /// This program was built without encryption.
    #[error(
        "this is encrypted (age), and this build cannot decrypt: it was made without the Cargo \
         feature `encrypt`; decrypt it with `age -d`"
    )]
    NotBuilt,
    /// The system's reason.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A part of an encrypted file that is not what was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the encrypted file was changed or cut off: its 64 KiB from offset {offset} on cannot be \
     authenticated"
)]
pub struct DamagedChunk {
    /// Where the chunk begins in the encrypted file.
    pub offset: u64,
}

impl From<OpenError> for io::Error {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Io(error) => error,
            other => Self::other(other),
        }
    }
}
