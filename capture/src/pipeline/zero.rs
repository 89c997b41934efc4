// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where a chunk is zero.

use linpmem_phys::is_zero;

/// The granule in which zero runs become holes of a sparse file. Smaller ones
/// cost more in extents than they save.
pub const BLOCK_BYTES: usize = 64 << 10;

/// Which blocks of a chunk are zero throughout: found once, used by all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ZeroBlocks {
    /// Bit n is set if block n has a byte other than 0.
    used: u64,
}

impl ZeroBlocks {
    /// The longest chunk that can be described.
    pub const MAX_BYTES: usize = 64 * BLOCK_BYTES;

    /// Looks at every byte of `data`. What lies beyond [`Self::MAX_BYTES`] counts
    /// as used.
    #[must_use]
    pub fn of(data: &[u8]) -> Self {
        let mut used = 0;
        for (number, block) in data.chunks(BLOCK_BYTES).enumerate() {
            let number = u32::try_from(number).unwrap_or(u32::MAX);
            if !is_zero(block) {
                used |= 1_u64.checked_shl(number).unwrap_or(u64::MAX);
            }
        }
        if data.len() > Self::MAX_BYTES {
            used = u64::MAX;
        }
        Self { used }
    }

    /// Whether the whole chunk is zero.
    #[must_use]
    pub const fn all(self) -> bool {
        self.used == 0
    }

    /// `data` cut into the longest runs of used and of zero blocks, each with
    /// whether it is zero.
    pub fn runs(self, data: &[u8]) -> impl Iterator<Item = (bool, &[u8])> {
        let mut rest = data;
        let mut used = self.used;
        std::iter::from_fn(move || {
            if rest.is_empty() {
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
            let blocks = usize::try_from(blocks).unwrap_or(usize::MAX);
            let len = if blocks >= 64 {
                rest.len()
            } else {
                blocks.saturating_mul(BLOCK_BYTES).min(rest.len())
            };
            let (run, tail) = rest.split_at(len);
            rest = tail;
            Some((zero, run))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(data: &[u8]) -> Vec<(bool, usize)> {
        ZeroBlocks::of(data)
            .runs(data)
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
