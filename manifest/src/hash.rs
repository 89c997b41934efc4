// SPDX-License-Identifier: MIT OR Apache-2.0
//! Hashes of the output file other than its SHA-256.

use serde::{Deserialize, Serialize};

/// A hash that can be recorded in addition to SHA-256.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names say it")]
pub enum FurtherHash {
    Md5,
    Sha1,
    Sha512,
    /// BLAKE2b with 512 bits.
    Blake2b,
    /// BLAKE3 with 256 bits.
    Blake3,
}

/// A hash of the file, as the manifest records it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HashRecord {
    /// The hash function.
    pub algorithm: FurtherHash,
    /// The digest in lower-case hexadecimal.
    pub digest: String,
}

impl FurtherHash {
    /// All of them, in the order in which they are recorded.
    pub const ALL: [Self; 5] = [
        Self::Md5,
        Self::Sha1,
        Self::Sha512,
        Self::Blake2b,
        Self::Blake3,
    ];

    /// The name used in the manifest and on the command line.
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
}
