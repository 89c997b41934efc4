// SPDX-License-Identifier: MIT OR Apache-2.0
//! Hashes: of chunks, over chunks, and of files.

mod file;
mod merkle;
mod remainder;
mod running_sum;

pub use file::{file_sha256, sha256_of_reader};
pub use linpmem_sha256::Backend;
pub use merkle::MerkleTree;
pub use remainder::{RemainderDigest, feed_zeros};
pub use running_sum::RunningSum;

use blake2::Blake2b512;
use linpmem_formats::aff4;
use linpmem_manifest::{FurtherHash, Sha256Sum};
use linpmem_phys::num::{len_bytes, u64_as_usize};
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};

/// The SHA-256 of `bytes`.
#[must_use]
pub fn sha256(bytes: &[u8]) -> Sha256Sum {
    Sha256Sum::new(Sha256::digest(bytes).into())
}

/// The SHA-256 of everything that was fed to `hasher`.
#[must_use]
pub fn sha256_of(hasher: Sha256) -> Sha256Sum {
    Sha256Sum::new(hasher.finalize().into())
}

/// AFF4's name for `hash`, if it has one.
#[must_use]
pub const fn aff4_hash(hash: FurtherHash) -> Option<aff4::HashAlgorithm> {
    Some(match hash {
        FurtherHash::Md5 => aff4::HashAlgorithm::Md5,
        FurtherHash::Sha1 => aff4::HashAlgorithm::Sha1,
        FurtherHash::Sha512 => aff4::HashAlgorithm::Sha512,
        FurtherHash::Blake2b => aff4::HashAlgorithm::Blake2b,
        FurtherHash::Blake3 => return None,
    })
}

/// A hash that is being computed.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "as in `FurtherHash`, and SHA-256")]
pub enum Hasher {
    Sha256(Sha256),
    Md5(Md5),
    Sha1(Sha1),
    Sha512(Sha512),
    Blake2b(Box<Blake2b512>),
    Blake3(Box<blake3::Hasher>),
}

impl Hasher {
    /// A hasher for `hash`, with nothing hashed yet.
    #[must_use]
    pub fn new(hash: FurtherHash) -> Self {
        match hash {
            FurtherHash::Md5 => Self::Md5(Md5::new()),
            FurtherHash::Sha1 => Self::Sha1(Sha1::new()),
            FurtherHash::Sha512 => Self::Sha512(Sha512::new()),
            FurtherHash::Blake2b => Self::Blake2b(Box::new(Blake2b512::new())),
            FurtherHash::Blake3 => Self::Blake3(Box::new(blake3::Hasher::new())),
        }
    }

    /// A hasher for SHA-256.
    #[must_use]
    pub fn sha256() -> Self {
        Self::Sha256(Sha256::new())
    }

    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hasher) => hasher.update(bytes),
            Self::Md5(hasher) => hasher.update(bytes),
            Self::Sha1(hasher) => hasher.update(bytes),
            Self::Sha512(hasher) => hasher.update(bytes),
            Self::Blake2b(hasher) => hasher.update(bytes),
            Self::Blake3(hasher) => {
                hasher.update(bytes);
            }
        }
    }

    /// Adds `len` zero bytes.
    pub fn update_zeros(&mut self, len: u64) {
        const ZEROS: [u8; 16 << 10] = [0; 16 << 10];
        let mut left = len;
        while left > 0 {
            let step = left.min(len_bytes(&ZEROS));
            let (zeros, _) = ZEROS.split_at(u64_as_usize(step));
            self.update(zeros);
            left -= step;
        }
    }

    /// The digest of all bytes.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        match self {
            Self::Sha256(hasher) => hasher.finalize().to_vec(),
            Self::Md5(hasher) => hasher.finalize().to_vec(),
            Self::Sha1(hasher) => hasher.finalize().to_vec(),
            Self::Sha512(hasher) => hasher.finalize().to_vec(),
            Self::Blake2b(hasher) => hasher.finalize().to_vec(),
            Self::Blake3(hasher) => hasher.finalize().as_bytes().to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_of_abc() {
        for (hash, begins) in [
            (FurtherHash::Md5, "900150983cd24fb0"),
            (FurtherHash::Sha1, "a9993e364706816a"),
            (FurtherHash::Sha512, "ddaf35a193617aba"),
            (FurtherHash::Blake2b, "ba80a53f981c4d0d"),
            (FurtherHash::Blake3, "6437b3ac38465133"),
        ] {
            let mut hasher = Hasher::new(hash);
            hasher.update(b"ab");
            hasher.update(b"c");
            let digest = linpmem_phys::hex::encode(&hasher.finish());
            assert!(digest.starts_with(begins), "{}: {digest}", hash.name());
        }
    }
}
