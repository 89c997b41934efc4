// SPDX-License-Identifier: MIT OR Apache-2.0
//! Zero bytes.

/// How many bytes are looked at before a decision: enough for vector instructions,
/// few enough to be done soon with memory that holds something.
const STRIDE: usize = 512;

/// Whether all of `bytes` are 0. Much faster than a comparison byte by byte, which
/// compilers cannot make of vector instructions since it may end at any of them.
#[must_use]
pub fn is_zero(bytes: &[u8]) -> bool {
    bytes
        .chunks(STRIDE)
        .all(|stride| stride.iter().fold(0, |all, byte| all | byte) == 0)
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
}
