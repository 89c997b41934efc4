// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which hashes of the output file are computed.

use clap::{Args, ValueEnum};
use linpmem_capture::HashSpec;
use linpmem_manifest::FurtherHash;

/// Hashes of OUTPUT.
#[derive(Clone, Debug, Default, Args)]
pub struct HashArgs {
    /// Compute further hashes of OUTPUT: md5, sha1, sha512, blake2b, blake3
    ///
    /// Comma-separated or repeated. They are recorded in the manifest, and each takes a
    /// thread. AFF4 images also record them (except BLAKE3) over all addresses.
    #[arg(long, value_name = "HASH,…", value_enum, value_delimiter = ',')]
    pub hash: Vec<HashName>,

    /// Do not compute the SHA-256 of OUTPUT as a whole
    ///
    /// A single thread has to compute it from front to back; on processors without SHA
    /// instructions (sha_ni) that is slower than many disks. The hashes of the chunks
    /// and of everything outside them still cover every byte. No OUTPUT.sha256 is
    /// written.
    #[arg(long)]
    pub no_file_hash: bool,
}

/// A hash as typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashName(pub FurtherHash);

impl ValueEnum for HashName {
    fn value_variants<'a>() -> &'a [Self] {
        const ALL: [HashName; 5] = {
            let [a, b, c, d, e] = FurtherHash::ALL;
            [
                HashName(a),
                HashName(b),
                HashName(c),
                HashName(d),
                HashName(e),
            ]
        };
        &ALL
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        Some(clap::builder::PossibleValue::new(self.0.name()))
    }
}

impl HashArgs {
    /// What is meant: each hash once, in one order.
    #[must_use]
    pub fn spec(&self) -> HashSpec {
        let mut further: Vec<_> = self.hash.iter().map(|name| name.0).collect();
        further.sort_unstable();
        further.dedup();
        HashSpec {
            file_sha256: !self.no_file_hash,
            further,
        }
    }
}
