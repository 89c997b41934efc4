// SPDX-License-Identifier: MIT OR Apache-2.0
//! Zero bytes.

use crate::num::u32_as_usize;
use std::ops::Range;

/// How many bytes are checked at a time: enough for vector instructions, and few enough
/// to return early for memory that is not zero.
const STRIDE: usize = 512;

/// Whether all `bytes` are 0. This is much faster than a search for the first other byte,
/// which compilers cannot vectorize because it may end anywhere.
#[must_use]
pub fn is_zero(bytes: &[u8]) -> bool {
    bytes
        .chunks(STRIDE)
        .all(|stride| stride.iter().fold(0, |all, byte| all | byte) == 0)
}

/// The granule in which zeros are found. Smaller holes in a sparse file cost more in
/// extents than they save.
const BLOCK_BYTES: usize = 64 << 10;

/// Which blocks of up to 4 MiB of memory are zero: found once, and used wherever holes
/// are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ZeroBlocks {
    /// Bit n is set if block n has a byte other than 0.
    used: u64,
}

impl ZeroBlocks {
    /// The most bytes that can be described.
    pub const MAX_BYTES: usize = 64 * BLOCK_BYTES;

    /// Examines every byte of `data`. Everything beyond [`Self::MAX_BYTES`] counts as used.
    #[must_use]
    pub fn of(data: &[u8]) -> Self {
        let mut used = 0;
        for (number, block) in data.chunks(BLOCK_BYTES).enumerate() {
            // Blocks beyond the last bit are handled below.
            if number < 64 && !is_zero(block) {
                used |= 1 << number;
            }
        }
        if data.len() > Self::MAX_BYTES {
            used = u64::MAX;
        }
        Self { used }
    }

    /// All blocks are zero.
    #[must_use]
    pub const fn zero() -> Self {
        Self { used: 0 }
    }

    /// Whether every byte is zero.
    #[must_use]
    pub const fn all(self) -> bool {
        self.used == 0
    }

    /// The `len` bytes that were examined, as the longest runs of used and of zero blocks:
    /// whether a run is zero, and its place.
    pub fn runs(self, len: usize) -> impl Iterator<Item = (bool, Range<usize>)> {
        let mut begin = 0;
        let mut used = self.used;
        std::iter::from_fn(move || {
            if begin >= len {
                return None;
            }
            let zero = used & 1 == 0;
            let blocks = if zero {
                used.trailing_zeros()
            } else {
                used.trailing_ones()
            };
            // Beyond the last block all bits are 0, or all are 1.
            used = used.checked_shr(blocks).unwrap_or(0);
            let end = if blocks >= 64 {
                len
            } else {
                (begin + u32_as_usize(blocks) * BLOCK_BYTES).min(len)
            };
            let run = begin..end;
            begin = end;
            Some((zero, run))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bit_anywhere_is_seen() {
        assert!(is_zero(&[]));
        let mut bytes = vec![0; 3 * STRIDE + 5];
        assert!(is_zero(&bytes));
        for index in [0, 1, STRIDE - 1, STRIDE, 2 * STRIDE + 7, 3 * STRIDE + 4] {
            bytes[index] = 0x10;
            assert!(!is_zero(&bytes), "{index}");
            bytes[index] = 0;
        }
    }

    fn runs(data: &[u8]) -> Vec<(bool, usize)> {
        ZeroBlocks::of(data)
            .runs(data.len())
            .map(|(zero, run)| (zero, run.len() / 1024))
            .collect()
    }

    #[test]
    fn one_byte_anywhere_makes_its_block_used() {
        let mut data = vec![0; 4 * BLOCK_BYTES + 4096];
        assert!(ZeroBlocks::of(&data).all());
        assert_eq!(runs(&data), [(true, 260)]);
        data[BLOCK_BYTES * 2 - 1] = 1;
        assert_eq!(runs(&data), [(true, 64), (false, 64), (true, 132)]);
        data[BLOCK_BYTES * 4 + 4095] = 1;
        assert_eq!(
            runs(&data),
            [(true, 64), (false, 64), (true, 128), (false, 4)]
        );
        data.fill(7);
        assert_eq!(runs(&data), [(false, 260)]);
        assert_eq!(runs(&[]), []);
    }

    #[test]
    fn no_place_in_a_block_is_passed_over() {
        let mut data = vec![0; 2 * BLOCK_BYTES];
        for at in (BLOCK_BYTES..2 * BLOCK_BYTES)
            .step_by(511)
            .chain([2 * BLOCK_BYTES - 1])
        {
            data[at] = 0x80;
            assert_eq!(runs(&data), [(true, 64), (false, 64)], "{at}");
            data[at] = 0;
        }
    }

    #[test]
    fn the_longest_chunk_and_longer_ones() {
        let mut data = vec![0; ZeroBlocks::MAX_BYTES];
        assert_eq!(runs(&data), [(true, 4096)]);
        data[ZeroBlocks::MAX_BYTES - 1] = 1;
        assert_eq!(runs(&data), [(true, 4032), (false, 64)]);
        data.fill(1);
        assert_eq!(runs(&data), [(false, 4096)]);
        let long = vec![0; ZeroBlocks::MAX_BYTES + 1024];
        assert!(!ZeroBlocks::of(&long).all());
        assert_eq!(runs(&long), [(false, 4097)]);
    }
}
