// SPDX-License-Identifier: MIT OR Apache-2.0
//! Signatures of manifests, in the format of [minisign](https://jedisct1.github.io/minisign/):
//! Ed25519 over the BLAKE2b-512 of the file, and over a comment.

mod comment;
mod key;
mod public_key;
mod signed;

pub use comment::Subject;
pub use key::{KeyError, KeyFile, Password, PasswordError, SignError, SigningKey};
pub use public_key::{PublicKey, PublicKeyError};
pub use signed::{Signature, SignatureError};

use std::fmt;

/// What tells a key pair from others: 64 bits, which minisign prints as 16 digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyId(u64);

impl KeyId {
    fn of(keynum: &[u8]) -> Option<Self> {
        Some(Self(u64::from_le_bytes(keynum.try_into().ok()?)))
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016X}", self.0)
    }
}
