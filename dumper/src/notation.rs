// SPDX-License-Identifier: MIT OR Apache-2.0
//! Ranges, sources and formats as they are typed.

use linpmem_formats::{Codec, CodecError, aff4, kdump};
use linpmem_phys::{PhysAddr, PhysLen, PhysRange};
use std::path::PathBuf;
use std::str::FromStr;

/// Where memory is read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceSpec {
    /// The best there is that works.
    Auto,
    /// The linpmem module, at this device node.
    Device(PathBuf),
    /// /proc/kcore.
    Kcore,
    /// /dev/crash.
    Crash,
    /// /dev/mem.
    DevMem,
    /// An image.
    Image(PathBuf),
}

impl FromStr for SourceSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            _ if text == "auto" => Ok(Self::Auto),
            _ if text == "linpmem" => Ok(Self::Device(PathBuf::from(linpmem::DEFAULT_PATH))),
            _ if ["kcore", "/proc/kcore"].contains(&text) => Ok(Self::Kcore),
            _ if ["crash", "/dev/crash"].contains(&text) => Ok(Self::Crash),
            _ if ["devmem", "/dev/mem"].contains(&text) => Ok(Self::DevMem),
            Some(("file", path)) if !path.is_empty() => Ok(Self::Image(PathBuf::from(path))),
            _ if text.starts_with('/') => Ok(Self::Device(PathBuf::from(text))),
            _ => Err(
                "give auto, linpmem, kcore, crash, devmem, a device node's full path, or file:IMAGE"
                    .to_owned(),
            ),
        }
    }
}

/// A range as the command line has it: `A-B` with both ends included, or `A+LEN`.
///
/// # Errors
/// What was expected, if the text is neither.
pub fn parse_range(text: &str) -> Result<PhysRange, String> {
    if let Some((start, len)) = text.split_once('+') {
        let start = address(start)?;
        let len = PhysLen::new(length(len)?);
        return PhysRange::from_len(start, len)
            .map_err(|_| "the length must be above 0 and end below 2^64".to_owned());
    }
    let Some((first, last)) = text.split_once('-') else {
        return Err("give FIRST-LAST or START+LENGTH".to_owned());
    };
    if unit(last).is_some() {
        return Err(format!(
            "the second address of A-B is the last byte, as in /proc/iomem, and is given in \
             hexadecimal; to give a length write {first}+LENGTH"
        ));
    }
    PhysRange::from_inclusive(address(first)?, address(last)?)
        .map_err(|_| "the last address must not lie below the first".to_owned())
}

/// A length as the command line has it: bytes, or with a unit.
///
/// # Errors
/// What was expected.
pub fn parse_length(text: &str) -> Result<PhysLen, String> {
    length(text).map(PhysLen::new)
}

/// Hexadecimal, as in /proc/iomem, or decimal with a unit.
fn address(text: &str) -> Result<PhysAddr, String> {
    if unit(text).is_some() {
        return length(text).map(PhysAddr::new);
    }
    let digits = text.strip_prefix("0x").unwrap_or(text);
    hexadecimal(digits)
        .map(PhysAddr::new)
        .ok_or_else(|| format!("`{text}` is no address: give hexadecimal (100000, 0x100000) or a decimal number of KiB, MiB, GiB or TiB"))
}

/// Decimal, with a unit or in bytes; or hexadecimal with 0x.
fn length(text: &str) -> Result<u64, String> {
    let wrong =
        || format!("`{text}` is no length: give bytes, 0x…, or a number of KiB, MiB, GiB or TiB");
    if let Some(digits) = text.strip_prefix("0x") {
        return hexadecimal(digits).ok_or_else(wrong);
    }
    let (digits, shift) = unit(text).unwrap_or((text, 0));
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err(wrong());
    }
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    number.checked_mul(1 << shift).ok_or_else(wrong)
}

fn hexadecimal(digits: &str) -> Option<u64> {
    let all = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    all.then(|| u64::from_str_radix(digits, 16).ok()).flatten()
}

/// The digits before a unit, and the power of two that it stands for. A bare
/// letter is no unit: `1B` and `1D` are hexadecimal.
fn unit(text: &str) -> Option<(&str, u32)> {
    [("KiB", 10), ("MiB", 20), ("GiB", 30), ("TiB", 40)]
        .into_iter()
        .find_map(|(name, shift)| Some((text.strip_suffix(name)?, shift)))
}

/// The name of a compression, of which there is one; whether the format has it is
/// known later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompressSpec(String);

impl CompressSpec {
    /// As a compression around an image.
    ///
    /// # Errors
    /// If it is none of those.
    pub fn codec(&self) -> Result<Codec, CodecError> {
        self.0.parse()
    }

    /// Whether it is to be found out which.
    #[must_use]
    pub fn is_auto(&self) -> bool {
        self.0 == "auto"
    }

    /// As a compression within an AFF4 image.
    ///
    /// # Errors
    /// If it is none of those.
    pub fn aff4(&self) -> Result<aff4::Compression, aff4::CompressionError> {
        self.0.parse()
    }

    /// As a compression within a kdump image.
    ///
    /// # Errors
    /// If it is none of those.
    pub fn kdump(&self) -> Result<kdump::Compression, kdump::CompressionError> {
        self.0.parse()
    }
}

impl FromStr for CompressSpec {
    type Err = CodecError;

    fn from_str(text: &str) -> Result<Self, CodecError> {
        if text != "auto" && text.parse::<aff4::Compression>().is_err() {
            text.parse::<Codec>()?;
        }
        Ok(Self(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(text: &str) -> (u64, u64) {
        let range = parse_range(text).unwrap();
        (range.start().get(), range.last().get())
    }

    #[test]
    fn both_ends_are_included_as_in_proc_iomem() {
        assert_eq!(ends("100000-1fffff"), (0x10_0000, 0x1f_ffff));
        assert_eq!(ends("0x100000-0x1FFFFF"), (0x10_0000, 0x1f_ffff));
        assert_eq!(ends("0-0"), (0, 0));
    }

    #[test]
    fn lengths_have_units() {
        assert_eq!(ends("1MiB+4096"), (0x10_0000, 0x10_0fff));
        assert_eq!(ends("0x1000+0x1000"), (0x1000, 0x1fff));
        assert_eq!(ends("4GiB+1GiB"), (0x1_0000_0000, 0x1_3fff_ffff));
    }

    #[test]
    fn everything_else_is_refused() {
        for text in [
            "",
            "-",
            "+",
            "1000",
            "0-4GiB",
            "2000-1000",
            "0+0",
            "g-h",
            "0x-0x1",
            "1MiB+-1",
            "1MB+1",
            "99999999999999999-0",
            "16777216TiB+1",
            "ffffffffffffffff+2",
            " 0-1",
        ] {
            assert!(parse_range(text).is_err(), "{text}");
        }
        let error = parse_range("0-4GiB").unwrap_err();
        assert!(error.contains("0+LENGTH"), "{error}");
    }

    #[test]
    fn sources() {
        assert_eq!("auto".parse(), Ok(SourceSpec::Auto));
        assert_eq!("file:a:b".parse(), Ok(SourceSpec::Image("a:b".into())));
        assert_eq!("kcore".parse(), Ok(SourceSpec::Kcore));
        assert_eq!("/dev/mem".parse(), Ok(SourceSpec::DevMem));
        assert_eq!("/dev/x".parse(), Ok(SourceSpec::Device("/dev/x".into())));
        for text in ["", "file:", "kcor", "dev/x"] {
            assert!(text.parse::<SourceSpec>().is_err(), "{text}");
        }
    }
}
