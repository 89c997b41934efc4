// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether a file is encrypted, by how it begins.

/// How many bytes of a file tell whether it is encrypted.
pub const DETECT_BYTES: usize = 34;

/// How an encrypted file begins, whatever version of the format it has.
const MAGIC: &[u8] = b"age-encryption.org/";
const ARMOR: &[u8] = b"-----BEGIN AGE ENCRYPTED FILE-----";

/// An encrypted file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detected {
    /// In age's format.
    Age,
    /// The same as text (armor), which has no random access.
    Armored,
}

/// What kind of encrypted file begins with `head`, of which [`DETECT_BYTES`] are looked at.
#[must_use]
pub fn detect(head: &[u8]) -> Option<Detected> {
    if head.starts_with(MAGIC) {
        return Some(Detected::Age);
    }
    head.starts_with(ARMOR).then_some(Detected::Armored)
}
