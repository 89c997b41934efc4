// SPDX-License-Identifier: MIT OR Apache-2.0
//! Hashes of the output file beside its SHA-256.

use blake2::Blake2b512;
use linpmem_formats::aff4;
use md5::Md5;
use serde::{Deserialize, Serialize};
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};
use std::fmt::Write as _;

/// Which hashes are made.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct HashArgs {
    /// Further hashes of the output file: md5, sha1, sha512, blake2b, blake3
    ///
    /// Divided by commas, or repeated; they are in the manifest, and each takes a
    /// thread. AFF4 images have them (but BLAKE3) over all addresses as well.
    #[arg(long, value_name = "HASH,…", value_enum, value_delimiter = ',')]
    pub hash: Vec<FurtherHash>,

    /// Leave out the SHA-256 of the file as a whole
    ///
    /// One thread has to make it from front to back; without the processor's help
    /// (sha_ni) that is slower than many disks. Each chunk and all that is in no chunk
    /// still have theirs, which cover every byte; OUTPUT.sha256 is not written.
    #[arg(long)]
    pub no_file_hash: bool,
}

/// A hash that can be had beside SHA-256.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "their names say what they are")]
pub enum FurtherHash {
    Md5,
    Sha1,
    Sha512,
    /// 512 bits of it.
    Blake2b,
    /// 256 bits of it.
    Blake3,
}

/// A hash of the file, as the manifest has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HashRecord {
    /// Which.
    pub algorithm: FurtherHash,
    /// In hexadecimal digits.
    pub digest: String,
}

impl HashArgs {
    /// Each hash that was asked for, once, in one order.
    #[must_use]
    pub fn further(&self) -> Vec<FurtherHash> {
        let mut all = self.hash.clone();
        all.sort_unstable();
        all.dedup();
        all
    }
}

impl FurtherHash {
    /// As AFF4 has it.
    #[must_use]
    pub const fn aff4(self) -> Option<aff4::HashAlgorithm> {
        Some(match self {
            Self::Md5 => aff4::HashAlgorithm::Md5,
            Self::Sha1 => aff4::HashAlgorithm::Sha1,
            Self::Sha512 => aff4::HashAlgorithm::Sha512,
            Self::Blake2b => aff4::HashAlgorithm::Blake2b,
            Self::Blake3 => return None,
        })
    }

    /// As it is typed.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Md5 => "md5",
            Self::Sha1 => "sha1",
            Self::Sha512 => "sha512",
            Self::Blake2b => "blake2b",
            Self::Blake3 => "blake3",
        }
    }

    /// Nothing hashed yet.
    #[must_use]
    pub fn hasher(self) -> Hasher {
        match self {
            Self::Md5 => Hasher::Md5(Md5::new()),
            Self::Sha1 => Hasher::Sha1(Sha1::new()),
            Self::Sha512 => Hasher::Sha512(Sha512::new()),
            Self::Blake2b => Hasher::Blake2b(Box::new(Blake2b512::new())),
            Self::Blake3 => Hasher::Blake3(Box::new(blake3::Hasher::new())),
        }
    }
}

/// A hash in the making.
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

/// A digest in hexadecimal digits.
#[must_use]
pub fn hexadecimal(digest: &[u8]) -> String {
    digest.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
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
            let mut hasher = hash.hasher();
            hasher.update(b"ab");
            hasher.update(b"c");
            let digest = hexadecimal(&hasher.finish());
            assert!(digest.starts_with(begins), "{}: {digest}", hash.name());
        }
    }
}
