// SPDX-License-Identifier: MIT OR Apache-2.0
//! Hexadecimal digits: digests, build ids, and numbers as the kernel prints them.

use std::fmt;

/// Shows bytes as lower-case hexadecimal digits, two a byte.
#[derive(Clone, Copy, Debug)]
pub struct Hex<'a>(pub &'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// `bytes` as lower-case hexadecimal digits, two a byte.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    Hex(bytes).to_string()
}

/// The bytes whose hexadecimal digits, two a byte and in either case, are `digits`;
/// `None` if the count is odd or a character is not a digit.
#[must_use]
pub fn decode(digits: &str) -> Option<Vec<u8>> {
    if digits.len() % 2 != 0 {
        return None;
    }
    digits
        .as_bytes()
        .chunks_exact(2)
        .map(|pair| match pair {
            &[high, low] => Some(nibble(high)? << 4 | nibble(low)?),
            _ => None,
        })
        .collect()
}

/// The number whose hexadecimal digits, without a prefix and in either case, are
/// `digits`, as the kernel's `%lx` prints it. `None` if there is no digit, another
/// character, or the number does not fit 64 bits.
#[must_use]
pub fn parse_u64(digits: &str) -> Option<u64> {
    // `from_str_radix` alone would accept a leading `+`.
    let is_plain = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    is_plain
        .then(|| u64::from_str_radix(digits, 16).ok())
        .flatten()
}

/// As [`parse_u64`] for digits after `0x` or `0X`.
#[must_use]
pub fn parse_prefixed_u64(text: &str) -> Option<u64> {
    parse_u64(strip_prefix(text)?)
}

/// What follows `0x` or `0X`.
pub(crate) fn strip_prefix(text: &str) -> Option<&str> {
    text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"))
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_survives_the_round_trip() {
        let all: Vec<u8> = (0..=u8::MAX).collect();
        let digits = encode(&all);
        assert!(digits.starts_with("000102") && digits.ends_with("fdfeff"));
        assert_eq!(decode(&digits), Some(all.clone()));
        assert_eq!(decode(&digits.to_uppercase()), Some(all));
        assert_eq!(decode(""), Some(Vec::new()));
    }

    #[test]
    fn anything_but_pairs_of_digits_is_refused() {
        for text in ["0", "0x", "+1", "0g", " 0", "é0", "00 "] {
            assert_eq!(decode(text), None, "{text}");
        }
    }

    #[test]
    fn numbers_have_digits_only_and_fit_64_bits() {
        assert_eq!(parse_u64("ffffffff81000000"), Some(0xffff_ffff_8100_0000));
        assert_eq!(parse_u64("00000000000000001F"), Some(0x1f));
        for text in ["", "+1", "-1", "0x1", "1 ", "g", "10000000000000000"] {
            assert_eq!(parse_u64(text), None, "{text}");
        }
        assert_eq!(parse_prefixed_u64("0x1F"), Some(0x1f));
        assert_eq!(parse_prefixed_u64("0X1f"), Some(0x1f));
        for text in ["", "0x", "1f", "0x0x1", "0x+1", "x1"] {
            assert_eq!(parse_prefixed_u64(text), None, "{text}");
        }
    }
}
