// SPDX-License-Identifier: MIT OR Apache-2.0
//! The sum over what is in an image beside memory.
//!
//! Headers, notes, padding: the bytes of the file that are no chunk's, stretch by
//! stretch. A stretch counts as its bytes without the zeros at its end, and then its
//! length as 8 bytes, little-endian. So a hole costs nothing however long it is, and
//! with the sums of the chunks every byte of the file is covered.

use crate::hash::sha256_of;
use linpmem_manifest::Sha256Sum;
use sha2::{Digest, Sha256};

/// Such a sum in the making.
#[derive(Clone, Debug, Default)]
pub struct RemainderDigest {
    hasher: Sha256,
    /// Of the stretch so far.
    len: u64,
    /// Zeros that end the stretch, if nothing else comes.
    zeros: u64,
}

impl RemainderDigest {
    /// Adds bytes to the stretch.
    pub fn bytes(&mut self, bytes: &[u8]) {
        let used = bytes.iter().rposition(|&byte| byte != 0);
        let used = used.and_then(|last| bytes.get(..=last)).unwrap_or_default();
        if !used.is_empty() {
            feed_zeros(&mut self.hasher, self.zeros);
            self.zeros = 0;
            self.hasher.update(used);
        }
        let trailing = bytes.len().saturating_sub(used.len());
        self.zeros = self.zeros.saturating_add(count(trailing));
        self.len = self.len.saturating_add(count(bytes.len()));
    }

    /// Adds zero bytes to the stretch.
    pub fn zeros(&mut self, len: u64) {
        self.zeros = self.zeros.saturating_add(len);
        self.len = self.len.saturating_add(len);
    }

    /// The stretch ends here: at a chunk, or the file's end.
    pub fn end_stretch(&mut self) {
        if self.len > 0 {
            self.hasher.update(self.len.to_le_bytes());
        }
        (self.len, self.zeros) = (0, 0);
    }

    /// The sum over all stretches.
    #[must_use]
    pub fn finish(mut self) -> Sha256Sum {
        self.end_stretch();
        sha256_of(self.hasher)
    }
}

/// Adds `len` zero bytes to `hasher`.
pub fn feed_zeros<D: Digest>(hasher: &mut D, len: u64) {
    const ZEROS: [u8; 16 << 10] = [0; 16 << 10];
    let mut left = len;
    while left > 0 {
        let step = left.min(count(ZEROS.len()));
        let size = usize::try_from(step).unwrap_or(ZEROS.len());
        hasher.update(ZEROS.get(..size).unwrap_or(&ZEROS));
        left -= step;
    }
}

fn count(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(stretches: &[&[&[u8]]]) -> Sha256Sum {
        let mut sum = RemainderDigest::default();
        for stretch in stretches {
            stretch.iter().for_each(|part| sum.bytes(part));
            sum.end_stretch();
        }
        sum.finish()
    }

    #[test]
    fn how_a_stretch_is_cut_does_not_matter() {
        let whole = sum(&[&[b"ab\0\0c\0\0"]]);
        assert_eq!(whole, sum(&[&[b"ab\0", b"\0", b"c", b"\0\0", b""]]));
        let mut zeros = RemainderDigest::default();
        zeros.bytes(b"ab");
        zeros.zeros(2);
        zeros.bytes(b"c");
        zeros.zeros(2);
        assert_eq!(whole, zeros.finish());
    }

    #[test]
    fn every_byte_and_every_border_matters() {
        let all = [
            sum(&[]),
            sum(&[&[b"\0"]]),
            sum(&[&[b"\0\0"]]),
            sum(&[&[b"\0"], &[b"\0"]]),
            sum(&[&[b"ab\0\0c\0\0"]]),
            sum(&[&[b"ab\0\0c\0\0\0"]]),
            sum(&[&[b"ab\0\0c\0"]]),
            sum(&[&[b"ab\0c\0\0\0"]]),
            sum(&[&[b"ab\0\0c"], &[b"\0\0"]]),
        ];
        for (index, one) in all.iter().enumerate() {
            assert!(!all[..index].contains(one), "{index}");
        }
    }
}
