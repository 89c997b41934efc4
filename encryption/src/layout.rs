// SPDX-License-Identifier: MIT OR Apache-2.0
//! How an encrypted file is laid out (<https://age-encryption.org/v1>): a header with the file
//! key for each recipient, 16 random bytes, and then chunks, each with a tag of 16 bytes.
//! All chunks but the last are full.

/// Bytes of the content in a chunk.
pub const CHUNK_BYTES: usize = 64 << 10;

/// The longest header that is read or written.
pub const MAX_HEADER_BYTES: usize = 64 << 10;

/// The most recipients that a file is encrypted to: their header is well below
/// [`MAX_HEADER_BYTES`].
pub const MAX_RECIPIENTS: usize = 256;

/// What follows the header: random bytes that the key of the content is derived from.
#[cfg(feature = "age")]
pub const NONCE_BYTES: u64 = 16;

/// The same as a number of a file's bytes.
pub const CHUNK: u64 = 64 << 10;
/// Bytes by which a chunk is authenticated.
pub const TAG: u64 = 16;
/// Bytes of a full chunk in an encrypted file.
#[cfg(feature = "age")]
pub const ENCRYPTED_CHUNK: u64 = CHUNK + TAG;

/// Bytes of `content` bytes when they are encrypted, without the header.
#[must_use]
pub const fn encrypted_len(content: u64) -> u64 {
    // What is empty has a chunk, too.
    let chunks = match content.div_ceil(CHUNK) {
        0 => 1,
        chunks => chunks,
    };
    content.saturating_add(chunks.saturating_mul(TAG))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_chunk_has_a_tag() {
        for (content, encrypted) in [
            (0, 16),
            (1, 17),
            (CHUNK, CHUNK + 16),
            (CHUNK + 1, CHUNK + 33),
            (u64::MAX, u64::MAX),
        ] {
            assert_eq!(encrypted_len(content), encrypted, "{content}");
        }
    }
}
