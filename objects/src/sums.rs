// SPDX-License-Identifier: MIT OR Apache-2.0
//! The sums by which a store checks what arrives.

use data_encoding::BASE64;
use md5::Md5;
use sha2::{Digest, Sha256};

/// The sums of a part or an object.
#[derive(Clone, Debug)]
pub(crate) struct Sums {
    pub(crate) sha256: [u8; 32],
    pub(crate) md5: [u8; 16],
}

impl Sums {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self {
            sha256: Sha256::digest(bytes).into(),
            md5: Md5::digest(bytes).into(),
        }
    }

    pub(crate) fn sha256_base64(&self) -> String {
        BASE64.encode(&self.sha256)
    }

    pub(crate) fn md5_base64(&self) -> String {
        BASE64.encode(&self.md5)
    }
}

/// The SHA-256 of the parts' SHA-256, as S3 computes it.
pub(crate) fn sha256_of_parts<'a>(parts: impl Iterator<Item = &'a [u8; 32]>) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}
