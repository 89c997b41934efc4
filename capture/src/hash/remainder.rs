// SPDX-License-Identifier: MIT OR Apache-2.0
//! The hash over everything in an image that is not memory.
//!
//! Headers, notes, padding: the bytes of the file that are not in a chunk, run by run. For
//! each run, its bytes without the zeros at its end are hashed, and then its length as 8
//! bytes, little-endian. So a hole costs nothing however long it is, and together with the
//! hashes of the chunks every byte of the file is covered.

use crate::hash::sha256_of;
use linpmem_manifest::Sha256Sum;
use linpmem_phys::num::{len_bytes, u64_as_usize};
use sha2::{Digest, Sha256};

/// Such a hash that is being computed. Lengths are those of runs of one file, so that
/// their sums fit.
#[derive(Clone, Debug, Default)]
pub struct RemainderDigest {
    hasher: Sha256,
    /// Bytes of the run so far.
    len: u64,
    /// Zeros at the end of the run so far.
    zeros: u64,
}

impl RemainderDigest {
    /// Adds bytes to the run.
    pub fn bytes(&mut self, bytes: &[u8]) {
        let trailing = bytes.iter().rev().take_while(|&&byte| byte == 0).count();
        let (used, trailing) = bytes.split_at(bytes.len() - trailing);
        if !used.is_empty() {
            feed_zeros(&mut self.hasher, self.zeros);
            self.zeros = 0;
            self.hasher.update(used);
        }
        self.zeros += len_bytes(trailing);
        self.len += len_bytes(bytes);
    }

    /// Adds zero bytes to the run.
    pub fn zeros(&mut self, len: u64) {
        self.zeros += len;
        self.len += len;
    }

    /// Ends the run, at a chunk or at the end of the file.
    pub fn end_stretch(&mut self) {
        if self.len > 0 {
            self.hasher.update(self.len.to_le_bytes());
        }
        (self.len, self.zeros) = (0, 0);
    }

    /// The hash over all runs.
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
        let step = left.min(len_bytes(&ZEROS));
        hasher.update(ZEROS.split_at(u64_as_usize(step)).0);
        left -= step;
    }
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
