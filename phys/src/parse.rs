// SPDX-License-Identifier: MIT OR Apache-2.0
//! Addresses, lengths and ranges as people type them.
//!
//! One notation for every program of the suite:
//!
//! | | |
//! |---|---|
//! | `4096` | decimal, as an address and as a length |
//! | `0x1000`, `0X1000` | hexadecimal |
//! | `4K`, `4KiB`, `3M`, `3MiB`, `2G`, `2GiB`, `1T`, `1TiB` | decimal, times a power of 1024 |
//! | `0x1000-0x1fff` | a range, the last byte included, as in /proc/iomem |
//! | `0x1000+4KiB` | a range of this many bytes |
//!
//! Addresses in /proc/iomem are hexadecimal without `0x`. Copied from there they
//! would be read as decimal, so everything that looks like it is refused with a
//! hint: hexadecimal digits above 9, and leading zeros. `KB` and `MB` are refused
//! because they mean 1000 to some and 1024 to others.

use crate::hex;
use crate::{PhysAddr, PhysLen, PhysRange};
use std::fmt;
use std::str::FromStr;

/// A typed address, length or range that is not valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    typed: String,
    what: &'static str,
    hint: String,
}

/// How a number may be written.
const NUMBER: &str = "give a decimal number, 0x and hexadecimal digits, or a decimal number with KiB, MiB, GiB or TiB";

/// The units, and the power of two that each stands for.
const UNITS: [(&str, u32); 8] = [
    ("KiB", 10),
    ("MiB", 20),
    ("GiB", 30),
    ("TiB", 40),
    ("K", 10),
    ("M", 20),
    ("G", 30),
    ("T", 40),
];

/// A number in this module's notation, for values that are neither a physical
/// address nor a length: a virtual address, a CR3 value.
///
/// # Errors
/// What was typed, and what is expected.
pub fn number(text: &str) -> Result<u64, ParseError> {
    parse(text, "number")
}

impl FromStr for PhysAddr {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        parse(text, "address").map(Self::new)
    }
}

impl FromStr for PhysLen {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        parse(text, "length").map(Self::new)
    }
}

impl FromStr for PhysRange {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let wrong = |hint: String| ParseError::new(text, "range", hint);
        if let Some((start, len)) = text.split_once('+') {
            let (start, len): (PhysAddr, PhysLen) = (start.parse()?, len.parse()?);
            return Self::from_len(start, len).map_err(|_| {
                wrong("the length must be above 0, and the range must end below 2^64".to_owned())
            });
        }
        let Some((first, last)) = text.split_once('-') else {
            return Err(wrong(
                "give FIRST-LAST or START+LENGTH, such as 0x1000-0x1fff or 0x1000+4KiB".to_owned(),
            ));
        };
        if looks_like_iomem(first) || looks_like_iomem(last) {
            return Err(wrong(format!(
                "a number without 0x is decimal; addresses copied from /proc/iomem need it: {}-{}",
                with_prefix(first),
                with_prefix(last)
            )));
        }
        if unit(last).is_some() {
            return Err(wrong(format!(
                "in FIRST-LAST the second address is the last byte of the range, as in \
                 /proc/iomem; to give a length, write {first}+{last}"
            )));
        }
        let (first, last): (PhysAddr, PhysAddr) = (first.parse()?, last.parse()?);
        if last < first {
            return Err(wrong("the last address is below the first".to_owned()));
        }
        Self::from_inclusive(first, last)
            .map_err(|_| wrong("the range must end below 2^64".to_owned()))
    }
}

impl ParseError {
    fn new(typed: &str, what: &'static str, hint: impl Into<String>) -> Self {
        Self {
            typed: typed.to_owned(),
            what,
            hint: hint.into(),
        }
    }

    /// The text that is not valid: all that was typed, or the part of a range.
    #[must_use]
    pub fn typed(&self) -> &str {
        &self.typed
    }

    /// What is expected instead.
    #[must_use]
    pub fn hint(&self) -> &str {
        &self.hint
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { typed, what, hint } = self;
        let article = if *what == "address" { "an" } else { "a" };
        if typed.is_empty() {
            return write!(f, "{article} {what} is missing: {hint}");
        }
        write!(f, "`{typed}` is not {article} {what}: {hint}")
    }
}

impl std::error::Error for ParseError {}

fn parse(text: &str, what: &'static str) -> Result<u64, ParseError> {
    let wrong = |hint: String| ParseError::new(text, what, hint);
    let too_large = || wrong("it does not fit 64 bits".to_owned());
    if let Some(digits) = hex::strip_prefix(text) {
        if unit(digits).is_some() {
            return Err(wrong("a hexadecimal number takes no unit".to_owned()));
        }
        if !is_all(digits, u8::is_ascii_hexdigit) {
            return Err(wrong(hint(text)));
        }
        return hex::parse_u64(digits).ok_or_else(too_large);
    }
    if looks_like_iomem(text) {
        return Err(wrong(format!(
            "a number without 0x is decimal; a hexadecimal one, such as an address copied from \
             /proc/iomem, needs it: {}",
            with_prefix(text)
        )));
    }
    let (digits, shift) = unit(text).unwrap_or((text, 0));
    if !is_all(digits, u8::is_ascii_digit) {
        return Err(wrong(hint(text)));
    }
    // All digits: only their number can be wrong.
    let number: u64 = digits.parse().map_err(|_| too_large())?;
    number.checked_mul(1 << shift).ok_or_else(too_large)
}

/// What the writer of `text`, which is not a number, may have meant.
fn hint(text: &str) -> String {
    let letters = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let before = text.strip_suffix(letters).unwrap_or_default();
    let is_unit = |name: &str| letters.eq_ignore_ascii_case(name);
    if text.contains(char::is_whitespace) {
        return format!("write it without blanks, {NUMBER}");
    }
    if let Some((meant, _)) = UNITS
        .iter()
        .find(|(name, _)| is_unit(name) && letters != *name)
    {
        return format!("units are case-sensitive: write {before}{meant}");
    }
    if let Some((meant, _)) = UNITS
        .iter()
        .find(|(name, _)| is_unit(&name.replace("iB", "B")))
    {
        if letters.len() == 2 {
            return format!("units are powers of 1024: write {before}{meant} if you mean that");
        }
    }
    if before.contains('.') {
        return "fractions are not accepted: use a smaller unit".to_owned();
    }
    NUMBER.to_owned()
}

/// Whether `text` is what /proc/iomem prints, and would be misread as decimal.
fn looks_like_iomem(text: &str) -> bool {
    let has_letter = text.bytes().any(|digit| digit.is_ascii_alphabetic());
    let is_padded = text.len() > 1 && text.starts_with('0');
    is_all(text, u8::is_ascii_hexdigit) && (has_letter || is_padded)
}

fn with_prefix(text: &str) -> String {
    match hex::strip_prefix(text) {
        Some(_) => text.to_owned(),
        None => format!("0x{text}"),
    }
}

/// The digits before a unit, and the power of two that it stands for.
fn unit(text: &str) -> Option<(&str, u32)> {
    UNITS
        .into_iter()
        .find_map(|(name, shift)| Some((text.strip_suffix(name)?, shift)))
        .filter(|(digits, _)| is_all(digits, u8::is_ascii_digit))
}

fn is_all(text: &str, is: impl Fn(&u8) -> bool) -> bool {
    !text.is_empty() && text.as_bytes().iter().all(is)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(text: &str) -> (u64, u64) {
        let range: PhysRange = text.parse().unwrap();
        (range.start().get(), range.last().get())
    }

    fn refusal<T: FromStr<Err = ParseError>>(text: &str) -> String {
        match text.parse::<T>() {
            Ok(_) => panic!("`{text}` was accepted"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn numbers_are_decimal_or_hexadecimal_or_have_a_unit() {
        for (text, value) in [
            ("0", 0),
            ("4096", 4096),
            ("0x1000", 4096),
            ("0X1Fff", 0x1fff),
            ("0x0", 0),
            ("0x00100000", 1 << 20),
            ("4K", 4096),
            ("4KiB", 4096),
            ("1M", 1 << 20),
            ("1MiB", 1 << 20),
            ("3G", 3 << 30),
            ("3GiB", 3 << 30),
            ("2T", 2 << 40),
            ("2TiB", 2 << 40),
            ("16777215TiB", 0xff_ffff << 40),
            ("18446744073709551615", u64::MAX),
            ("0xffffffffffffffff", u64::MAX),
        ] {
            assert_eq!(number(text), Ok(value), "{text}");
            assert_eq!(text.parse(), Ok(PhysAddr::new(value)), "{text}");
            assert_eq!(text.parse(), Ok(PhysLen::new(value)), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_number_is_refused_with_what_is_expected() {
        for (text, hint) in [
            ("", "a length is missing: give a decimal number"),
            ("0x", "`0x` is not a length: give a decimal number"),
            ("0x1g", "give a decimal number"),
            ("1000h", "give a decimal number"),
            ("-1", "give a decimal number"),
            ("+1", "give a decimal number"),
            ("KiB", "give a decimal number"),
            ("1_000", "give a decimal number"),
            ("1é", "give a decimal number"),
            ("1000 ", "without blanks"),
            ("1 KiB", "without blanks"),
            ("1.5GiB", "fractions"),
            ("1.5", "fractions"),
            ("1KB", "write 1KiB"),
            ("1kB", "write 1KiB"),
            ("10MB", "write 10MiB"),
            ("10gb", "write 10GiB"),
            ("4k", "4K"),
            ("4kib", "4KiB"),
            ("4Mib", "4MiB"),
            ("0x1KiB", "no unit"),
            ("0x1T", "no unit"),
            ("16777216TiB", "64 bits"),
            ("18446744073709551616", "64 bits"),
            ("0x10000000000000000", "64 bits"),
            ("1000f", "needs it: 0x1000f"),
            ("ffffffff81000000", "needs it: 0xffffffff81000000"),
            ("00100000", "needs it: 0x00100000"),
            ("00", "needs it: 0x00"),
        ] {
            let said = refusal::<PhysLen>(text);
            assert!(said.contains(hint), "{text}: {said}");
        }
    }

    #[test]
    fn errors_name_what_was_typed_and_what_it_should_be() {
        let error = "x".parse::<PhysAddr>().unwrap_err();
        assert_eq!((error.typed(), error.hint()), ("x", NUMBER));
        assert!(error.to_string().starts_with("`x` is not an address: "));
        assert!(number("x").unwrap_err().to_string().contains("a number: "));
        assert!(refusal::<PhysRange>("x").starts_with("`x` is not a range: give FIRST-LAST"));
        assert!(refusal::<PhysRange>("0x1000+y").starts_with("`y` is not a length: "));
        assert!(refusal::<PhysRange>("z-0").starts_with("`z` is not an address: "));
        assert!(refusal::<PhysRange>("-5").starts_with("an address is missing: "));
    }

    #[test]
    fn ranges_end_with_their_last_byte_or_have_a_length() {
        assert_eq!(ends("0x100000-0x1FFFFF"), (0x10_0000, 0x1f_ffff));
        assert_eq!(ends("0-0"), (0, 0));
        assert_eq!(ends("0-0xfff"), (0, 0xfff));
        assert_eq!(ends("1MiB-2097151"), (0x10_0000, 0x1f_ffff));
        assert_eq!(ends("1MiB+4096"), (0x10_0000, 0x10_0fff));
        assert_eq!(ends("0x1000+0x1000"), (0x1000, 0x1fff));
        assert_eq!(ends("1000+1000"), (1000, 1999));
        assert_eq!(ends("4GiB+1GiB"), (0x1_0000_0000, 0x1_3fff_ffff));
        assert_eq!(ends("4G+1G"), (0x1_0000_0000, 0x1_3fff_ffff));
    }

    #[test]
    fn what_is_copied_from_iomem_is_never_misread() {
        for text in [
            "00100000-3ffdcfff",
            "00000000-00000fff",
            "100000-1fffff",
            "100000000-13fffffff",
            "0x100000000-13fffffff",
        ] {
            let said = refusal::<PhysRange>(text);
            let (first, last) = text.split_once('-').unwrap();
            let right = format!("{}-{}", with_prefix(first), with_prefix(last));
            assert!(said.ends_with(&right), "{text}: {said}");
            // And what it suggests is accepted.
            ends(&right);
        }
    }

    #[test]
    fn other_ranges_are_refused() {
        let said = refusal::<PhysRange>("0-4GiB");
        assert!(
            said.contains("last byte") && said.ends_with("write 0+4GiB"),
            "{said}"
        );
        for (text, hint) in [
            ("", "a range is missing"),
            ("-", "an address is missing"),
            ("+", "an address is missing"),
            ("1000", "FIRST-LAST"),
            ("0x2000-0x1000", "below the first"),
            ("0+0", "above 0"),
            ("0-0xffffffffffffffff", "below 2^64"),
            ("0xffffffffffffffff+2", "below 2^64"),
            ("0x-0x1", "`0x` is not an address"),
            ("1MiB+-1", "`-1` is not a length"),
            ("1MB+1", "write 1MiB"),
            ("99999999999999999999-0", "64 bits"),
            (" 0-1", "without blanks"),
            ("0-1-2", "`1-2` is not an address"),
            ("0+1+2", "`1+2` is not a length"),
            ("0x1000-0x1fff : System RAM", "without blanks"),
        ] {
            let said = refusal::<PhysRange>(text);
            assert!(said.contains(hint), "{text}: {said}");
        }
    }

    #[test]
    fn whatever_is_printed_can_be_typed_again() {
        let values = (0..64)
            .flat_map(|shift| {
                [
                    (1_u64 << shift) - 1,
                    1 << shift,
                    (1 << shift) + 1,
                    0x155 << shift,
                ]
            })
            .chain([u64::MAX, u64::MAX - 1]);
        for value in values {
            let (addr, len) = (PhysAddr::new(value), PhysLen::new(value));
            assert_eq!(addr.to_string().parse(), Ok(addr));
            assert_eq!(len.exact().to_string().parse(), Ok(len));
            if let Ok(range) =
                PhysRange::from_len(PhysAddr::new(value / 2), PhysLen::new(value / 3))
            {
                assert_eq!(range.to_string().parse(), Ok(range));
                let other = format!("{}+{}", range.start(), range.len().exact());
                assert_eq!(other.parse(), Ok(range), "{other}");
            }
        }
    }
}
