// SPDX-License-Identifier: MIT OR Apache-2.0
//! A sum that tells whether bytes are the ones from before.
//!
//! It compares what the disk gives back with what was written, once, within one run: it is
//! no hash for a manifest. XXH64 of each block with a secret of the run and the block's number
//! as its seed, added up. Blocks of zeros add nothing, so that a hole costs nothing however
//! long it is.

use linpmem_phys::num::{len_bytes, u64_as_usize};
use std::hash::{BuildHasher, Hasher, RandomState};
use twox_hash::XxHash64;

/// Blocks begin at multiples of this, counted from where the sum begins.
const BLOCK_BYTES: u64 = 64 << 10;

/// Zeros to compare with, and to add to a block.
const ZEROS: [u8; 4096] = [0; 4096];

/// The sum of bytes in their order.
#[derive(Clone, Debug)]
pub struct RunningSum {
    secret: u64,
    /// Bytes so far.
    len: u64,
    /// The sum of the blocks that are complete.
    complete: u64,
    /// The block that is not.
    block: XxHash64,
    is_block_zero: bool,
}

impl RunningSum {
    /// The sum of nothing yet, with a secret of its own.
    #[must_use]
    pub fn with_new_secret() -> Self {
        Self::with_secret(RandomState::new().build_hasher().finish())
    }

    /// The sum of nothing yet, to be compared with this one.
    #[must_use]
    pub fn again(&self) -> Self {
        Self::with_secret(self.secret)
    }

    fn with_secret(secret: u64) -> Self {
        Self {
            secret,
            len: 0,
            complete: 0,
            block: XxHash64::with_seed(secret),
            is_block_zero: true,
        }
    }

    /// Adds bytes.
    pub fn bytes(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let room = u64_as_usize(BLOCK_BYTES - self.len % BLOCK_BYTES);
            let (part, others) = rest.split_at(room.min(rest.len()));
            self.is_block_zero = self.is_block_zero && is_zero(part);
            self.block.write(part);
            self.advance(len_bytes(part));
            rest = others;
        }
    }

    /// Adds zero bytes.
    pub fn zeros(&mut self, len: u64) {
        let mut left = len;
        while left > 0 {
            let within = self.len % BLOCK_BYTES;
            if within == 0 && left >= BLOCK_BYTES {
                let whole = left - left % BLOCK_BYTES;
                self.len += whole;
                left -= whole;
                self.begin_block();
                continue;
            }
            let step = left.min(BLOCK_BYTES - within).min(len_bytes(&ZEROS));
            self.block.write(ZEROS.split_at(u64_as_usize(step)).0);
            self.advance(step);
            left -= step;
        }
    }

    /// The sum of all bytes.
    #[must_use]
    pub fn finish(mut self) -> u64 {
        self.add_block();
        // Zeros at the end add nothing, but their number has to be right.
        let mut hasher = XxHash64::with_seed(self.secret);
        hasher.write(&self.len.to_le_bytes());
        self.complete.wrapping_add(hasher.finish())
    }

    /// Counts bytes of the block.
    fn advance(&mut self, len: u64) {
        self.len += len;
        if self.len % BLOCK_BYTES == 0 {
            self.add_block();
            self.begin_block();
        }
    }

    fn add_block(&mut self) {
        if !self.is_block_zero {
            self.complete = self.complete.wrapping_add(self.block.finish());
        }
    }

    fn begin_block(&mut self) {
        let number = self.len / BLOCK_BYTES;
        self.block = XxHash64::with_seed(self.secret.wrapping_add(number));
        self.is_block_zero = true;
    }
}

fn is_zero(bytes: &[u8]) -> bool {
    let mut parts = bytes.chunks(ZEROS.len());
    parts.all(|part| ZEROS.starts_with(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK: usize = 64 << 10;

    fn some_bytes(count: usize) -> Vec<u8> {
        (0..=250).cycle().take(count).collect()
    }

    fn sum_of(start: &RunningSum, pieces: &[&[u8]]) -> u64 {
        let mut sum = start.again();
        for piece in pieces {
            sum.bytes(piece);
        }
        sum.finish()
    }

    #[test]
    fn pieces_of_any_length_have_the_same_sum() {
        let start = RunningSum::with_new_secret();
        let mut bytes = some_bytes(3 * BLOCK + 77);
        // Zeros in the middle, which one side knows as such.
        bytes[BLOCK - 5000..2 * BLOCK + 3].fill(0);
        let whole = sum_of(&start, &[&bytes]);
        for length in [1, 7, 4096, 65_535, 65_536, 65_537] {
            let pieces: Vec<&[u8]> = bytes.chunks(length).collect();
            assert_eq!(sum_of(&start, &pieces), whole, "{length}");
        }
        let mut known = start.again();
        known.bytes(&bytes[..BLOCK - 5000]);
        known.zeros(u64::try_from(BLOCK + 5003).unwrap());
        known.bytes(&bytes[2 * BLOCK + 3..]);
        assert_eq!(known.finish(), whole);
    }

    #[test]
    fn a_bit_a_place_and_a_length_make_a_difference() {
        let start = RunningSum::with_new_secret();
        let bytes = some_bytes(2 * BLOCK);
        let whole = sum_of(&start, &[&bytes]);
        for at in [0, BLOCK - 1, BLOCK, 2 * BLOCK - 1] {
            let mut other = bytes.clone();
            other[at] ^= 0x10;
            assert_ne!(sum_of(&start, &[&other]), whole, "{at}");
        }
        let (first, second) = bytes.split_at(BLOCK);
        assert_ne!(sum_of(&start, &[second, first]), whole);
        assert_ne!(sum_of(&start, &[&bytes, &[0]]), whole);
        assert_ne!(sum_of(&start, &[&bytes, &[0; BLOCK]]), whole);
        // Data among zeros, one block later.
        let zeros = [0; BLOCK];
        assert_ne!(
            sum_of(&start, &[&zeros, first, &zeros, &zeros]),
            sum_of(&start, &[&zeros, &zeros, first, &zeros])
        );
    }

    #[test]
    fn an_exbibyte_of_zeros_costs_nothing() {
        let start = RunningSum::with_new_secret();
        let [mut one, mut other] = [start.again(), start.again()];
        one.zeros(1 << 60);
        other.zeros(1 << 59);
        other.zeros(1 << 59);
        assert_eq!(one.clone().finish(), other.finish());
        one.zeros(1);
        assert_ne!(one.finish(), start.finish());
    }

    #[test]
    fn each_run_has_a_secret_of_its_own() {
        let sum = || sum_of(&RunningSum::with_new_secret(), &[b"abc"]);
        assert_ne!(sum(), sum());
    }
}
