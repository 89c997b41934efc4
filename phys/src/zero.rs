// SPDX-License-Identifier: MIT OR Apache-2.0
//! Zero bytes.

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
