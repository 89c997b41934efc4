// SPDX-License-Identifier: MIT OR Apache-2.0
//! Encrypted files, with the public functions.

#![forbid(unsafe_code)]
#![cfg(feature = "age")]

#[cfg(test)]
mod damaged;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod round_trip;
#[cfg(test)]
mod seeds;

#[cfg(test)]
mod common {
    use linpmem_encryption::{EncryptedFile, Encryption, Identities, OpenError, Recipients};
    use std::fs::File;
    use std::io::Write;

    /// Two pairs of keys, for these tests alone.
    pub const KEYS: [(&str, &str); 2] = [
        (
            "age1r0kdel0kms83mll3aahrn6q2nh0mc6r0s6rvf4lugwj280wp6ewsge09qk",
            "AGE-SECRET-KEY-146WP3PZE63ALPSC4SZ93U2MQPVTEE5TC06EZP7TWJXC2607S4XVQMDNHRY",
        ),
        (
            "age1xj03rk0m0nqu6p5k0h2l68dvqsxl44gqdf7w07jr85h32qczkews9e9exn",
            "AGE-SECRET-KEY-1X5GN5LAHPE6HV0GPD8K3QKXQYHC2TTCEUTP34XXSENHENFY7S50S67P642",
        ),
    ];

    pub const NO_FILES: [&str; 0] = [];

    pub fn recipients() -> Recipients {
        let keys = [KEYS[0].0.to_owned()];
        Recipients::collect(&keys, &NO_FILES).unwrap().unwrap()
    }

    pub fn file(content: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        file
    }

    pub fn identities(keys: &[&str]) -> Identities {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(keys.join("\n").as_bytes()).unwrap();
        Identities::read(&[file.path()]).unwrap()
    }

    pub fn own() -> Identities {
        identities(&[KEYS[0].1])
    }

    /// Bytes in which each 8 tell where they are.
    pub fn content(len: usize) -> Vec<u8> {
        let words = (0_u64..).flat_map(|at| (at.wrapping_mul(0x9e37_79b9_7f4a_7c15)).to_le_bytes());
        words.take(len).collect()
    }

    /// `content` encrypted in pieces of `step` bytes.
    pub fn encrypted(content: &[u8], step: usize, to: &Recipients) -> Vec<u8> {
        let mut out = Vec::new();
        let mut encryption = Encryption::begin(to, &mut out).unwrap();
        for piece in content.chunks(step) {
            encryption.push(piece, &mut out).unwrap();
        }
        encryption.finish(&mut out).unwrap();
        out
    }

    /// Where the chunks begin.
    pub fn start(bytes: &[u8]) -> usize {
        let last = bytes.windows(5).position(|at| at == b"\n--- ").unwrap();
        last + 5 + 43 + 1 + 16
    }

    pub fn open(bytes: &[u8]) -> Result<EncryptedFile, OpenError> {
        EncryptedFile::open(file(bytes), &own())
    }

    pub fn all(file: &EncryptedFile) -> std::io::Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(file.len()).unwrap()];
        file.read_exact_at(0, &mut bytes)?;
        Ok(bytes)
    }
}
