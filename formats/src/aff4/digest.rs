// SPDX-License-Identifier: MIT OR Apache-2.0
//! The hashes that AFF4 defines.

use blake2::Blake2b512;
use linpmem_phys::hex::Hex;
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest as _, Sha256, Sha512};
use std::fmt;
use std::str::FromStr;

/// A hash algorithm of AFF4. The order is the one in which the standard combines them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "their names say what they are")]
pub enum HashAlgorithm {
    Md5,
    Sha1,
    Sha256,
    Sha512,
    /// BLAKE2b with 512 bits.
    Blake2b,
}

/// A name that is not a hash of AFF4.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown hash of AFF4 images `{0}`: use md5, sha1, sha256, sha512 or blake2b")]
pub struct UnknownHash(String);

impl HashAlgorithm {
    /// All of them, in the standard's order.
    pub const ALL: [Self; 5] = [
        Self::Md5,
        Self::Sha1,
        Self::Sha256,
        Self::Sha512,
        Self::Blake2b,
    ];

    /// The name as in the names of members and on command lines.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Md5 => "md5",
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
            Self::Blake2b => "blake2b",
        }
    }

    /// The name in AFF4's vocabulary.
    pub(super) const fn datatype(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
            Self::Sha512 => "SHA512",
            Self::Blake2b => "Blake2b",
        }
    }

    /// The algorithm with the name `datatype` in the vocabulary, in any case.
    pub(super) fn from_datatype(datatype: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|known| known.datatype().eq_ignore_ascii_case(datatype))
    }

    /// Size of a digest.
    pub(super) const fn digest_bytes(self) -> usize {
        match self {
            Self::Md5 => 16,
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha512 | Self::Blake2b => 64,
        }
    }

    /// The digest of `bytes`.
    pub(super) fn digest(self, bytes: &[u8]) -> Digest {
        let mut hasher = self.hasher();
        hasher.update(bytes);
        hasher.finish()
    }

    pub(super) fn hasher(self) -> Hasher {
        match self {
            Self::Md5 => Hasher::Md5(Md5::new()),
            Self::Sha1 => Hasher::Sha1(Sha1::new()),
            Self::Sha256 => Hasher::Sha256(Sha256::new()),
            Self::Sha512 => Hasher::Sha512(Sha512::new()),
            Self::Blake2b => Hasher::Blake2b(Box::new(Blake2b512::new())),
        }
    }
}

impl FromStr for HashAlgorithm {
    type Err = UnknownHash;

    fn from_str(text: &str) -> Result<Self, UnknownHash> {
        Self::ALL
            .into_iter()
            .find(|known| known.name() == text)
            .ok_or_else(|| UnknownHash(text.to_owned()))
    }
}

impl fmt::Display for HashAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Computes the SHA-256 of each of several blocks. A program that hashes several blocks at
/// once faster than one after the other gives its own function; the results must be the
/// same.
pub type Sha256Many = fn(&[&[u8]]) -> Vec<[u8; 32]>;

/// The SHA-256 of each of `blocks`, one after the other.
#[must_use]
pub fn sha256_many(blocks: &[&[u8]]) -> Vec<[u8; 32]> {
    let sums = blocks.iter().map(|block| Sha256::digest(block).into());
    sums.collect()
}

/// A hash being computed.
#[derive(Clone, Debug)]
pub(super) enum Hasher {
    Md5(Md5),
    Sha1(Sha1),
    Sha256(Sha256),
    Sha512(Sha512),
    Blake2b(Box<Blake2b512>),
}

impl Hasher {
    pub(super) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Md5(hasher) => hasher.update(bytes),
            Self::Sha1(hasher) => hasher.update(bytes),
            Self::Sha256(hasher) => hasher.update(bytes),
            Self::Sha512(hasher) => hasher.update(bytes),
            Self::Blake2b(hasher) => hasher.update(bytes),
        }
    }

    pub(super) fn finish(self) -> Digest {
        Digest(match self {
            Self::Md5(hasher) => hasher.finalize().to_vec(),
            Self::Sha1(hasher) => hasher.finalize().to_vec(),
            Self::Sha256(hasher) => hasher.finalize().to_vec(),
            Self::Sha512(hasher) => hasher.finalize().to_vec(),
            Self::Blake2b(hasher) => hasher.finalize().to_vec(),
        })
    }
}

/// The result of a hash. Displayed as lower-case hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Digest(Vec<u8>);

impl From<[u8; 32]> for Digest {
    fn from(sum: [u8; 32]) -> Self {
        Self(sum.to_vec())
    }
}

impl Digest {
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Hex(&self.0).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_as_long_as_said_and_names_read_back() {
        for algorithm in HashAlgorithm::ALL {
            assert_eq!(
                algorithm.digest(b"").as_bytes().len(),
                algorithm.digest_bytes()
            );
            assert_eq!(algorithm.name().parse(), Ok(algorithm));
            assert_eq!(
                HashAlgorithm::from_datatype(algorithm.datatype()),
                Some(algorithm)
            );
        }
        assert!("crc32".parse::<HashAlgorithm>().is_err());
        assert_eq!(
            HashAlgorithm::Md5.digest(b"abc").to_string(),
            "900150983cd24fb0d6963f7d28e17f72"
        );
    }
}
