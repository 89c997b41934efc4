// SPDX-License-Identifier: MIT OR Apache-2.0
//! Addresses and sizes as they are typed.

use linpmem_phys::{PhysAddr, PhysLen, PhysRange};

/// Bytes that are read where no length is given.
const DEFAULT_LEN: u64 = 256;

/// A start, and a length if one was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The first byte.
    pub start: PhysAddr,
    /// Bytes.
    pub len: Option<PhysLen>,
}

impl Place {
    /// The bytes meant.
    ///
    /// # Errors
    /// If they reach beyond 2^64.
    pub fn range(self) -> Result<PhysRange, String> {
        let len = self.len.unwrap_or(PhysLen::new(DEFAULT_LEN));
        PhysRange::from_len(self.start, len)
            .map_err(|_| "the length must be above 0 and end below 2^64".to_owned())
    }
}

/// `ADDRESS` or `ADDRESS+LENGTH`.
///
/// # Errors
/// What was expected, if the text is neither.
pub fn place(text: &str) -> Result<Place, String> {
    let (start, len) = match text.split_once('+') {
        Some((start, len)) => (start, Some(PhysLen::new(number(len)?))),
        None => (text, None),
    };
    let place = Place {
        start: PhysAddr::new(number(start)?),
        len,
    };
    place.range().map(|_| place)
}

/// Decimal, hexadecimal with 0x, or decimal with KiB, MiB, GiB or TiB.
///
/// # Errors
/// What was expected, if the text is none of these.
pub fn number(text: &str) -> Result<u64, String> {
    let wrong = || {
        format!(
            "`{text}` is no number: give decimal, 0x and hexadecimal, or decimal with KiB, MiB, \
             GiB or TiB"
        )
    };
    let hexadecimal = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    if let Some(digits) = hexadecimal {
        let all = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        return all
            .then(|| u64::from_str_radix(digits, 16).ok())
            .flatten()
            .ok_or_else(wrong);
    }
    let (digits, shift) = [("KiB", 10), ("MiB", 20), ("GiB", 30), ("TiB", 40)]
        .into_iter()
        .find_map(|(unit, shift)| Some((text.strip_suffix(unit)?, shift)))
        .unwrap_or((text, 0));
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err(wrong());
    }
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    number.checked_mul(1 << shift).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_decimal_or_hexadecimal_or_have_a_unit() {
        for (text, value) in [
            ("0", 0),
            ("4096", 4096),
            ("0x1000", 4096),
            ("0X1Fff", 0x1fff),
            ("4KiB", 4096),
            ("1MiB", 1 << 20),
            ("3GiB", 3 << 30),
            ("0xffffffffffffffff", u64::MAX),
        ] {
            assert_eq!(number(text), Ok(value), "{text}");
        }
        for text in [
            "",
            "0x",
            "1000h",
            "1MB",
            "-1",
            "+1",
            "0x1KiB",
            "1 KiB",
            "16777216TiB",
        ] {
            assert!(number(text).is_err(), "{text}");
        }
    }

    #[test]
    fn places_have_lengths() {
        let range = |text| place(text).unwrap().range().unwrap().to_string();
        assert_eq!(range("0x1000"), "0x1000-0x10ff");
        assert_eq!(range("1MiB+4KiB"), "0x100000-0x100fff");
        for text in ["0x1000+0", "0xffffffffffffffff+2", "0x1000+", "+1"] {
            assert!(place(text).is_err(), "{text}");
        }
    }
}
