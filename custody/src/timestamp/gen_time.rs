// SPDX-License-Identifier: MIT OR Apache-2.0
//! The time in a timestamp. Unlike certificates it may have fractions of seconds, which the
//! library's own type refuses.

use der::{
    DateTime, DecodeValue, EncodeValue, ErrorKind, FixedTag, Header, Length, Reader, Tag, Writer,
};
use std::fmt;
use std::time::Duration;

/// RFC 3161, section 2.4.2: `YYYYMMDDhhmmss[.s…]Z`, where the fraction does not end in 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GenTime {
    text: String,
    seconds: DateTime,
}

/// `20260131235959Z`.
const SHORTEST: u32 = 15;
/// With nanoseconds; more digits are no clock's.
const LONGEST: u32 = 25;

impl GenTime {
    fn parse(text: &str) -> Option<Self> {
        let number = |from: usize, to: usize| -> Option<u16> {
            let digits = text.get(from..to)?;
            let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
            is_number.then(|| digits.parse().ok())?
        };
        let small = |from| u8::try_from(number(from, from + 2)?).ok();
        let fraction = text.get(14..)?.strip_suffix('Z')?;
        let is_fraction = fraction.is_empty()
            || fraction.strip_prefix('.').is_some_and(|digits| {
                !digits.is_empty()
                    && !digits.ends_with('0')
                    && digits.bytes().all(|byte| byte.is_ascii_digit())
            });
        if !is_fraction {
            return None;
        }
        let seconds = DateTime::new(
            number(0, 4)?,
            small(4)?,
            small(6)?,
            small(8)?,
            small(10)?,
            small(12)?,
        );
        Some(Self {
            text: text.to_owned(),
            seconds: seconds.ok()?,
        })
    }

    /// Since 1970-01-01T00:00:00Z, in whole seconds.
    pub fn since_epoch(&self) -> Duration {
        self.seconds.unix_duration()
    }
}

/// As RFC 3339 has it.
impl fmt::Display for GenTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = self.seconds.to_string();
        let fraction = self.text.get(14..).unwrap_or("Z");
        write!(f, "{}{fraction}", whole.trim_end_matches('Z'))
    }
}

impl FixedTag for GenTime {
    const TAG: Tag = Tag::GeneralizedTime;
}

impl<'a> DecodeValue<'a> for GenTime {
    fn decode_value<R: Reader<'a>>(reader: &mut R, header: Header) -> der::Result<Self> {
        let length = u32::from(header.length);
        let wrong = || der::Error::from(ErrorKind::DateTime);
        if !(SHORTEST..=LONGEST).contains(&length) {
            return Err(wrong());
        }
        let bytes = reader.read_vec(header.length)?;
        let text = std::str::from_utf8(&bytes).map_err(|_| wrong())?;
        Self::parse(text).ok_or_else(wrong)
    }
}

impl EncodeValue for GenTime {
    fn value_len(&self) -> der::Result<Length> {
        self.text.len().try_into()
    }

    fn encode_value(&self, writer: &mut impl Writer) -> der::Result<()> {
        writer.write(self.text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_are_kept_and_everything_else_is_refused() {
        for (text, shown) in [
            ("20260131235959Z", "2026-01-31T23:59:59Z"),
            ("20260131235959.5Z", "2026-01-31T23:59:59.5Z"),
            (
                "20260131235959.123456789Z",
                "2026-01-31T23:59:59.123456789Z",
            ),
        ] {
            let time = GenTime::parse(text).unwrap();
            assert_eq!(time.to_string(), shown);
            assert_eq!(time.since_epoch().as_secs(), 1_769_903_999);
        }
        for wrong in [
            "",
            "20260131235959",
            "20260131235959.Z",
            "20260131235959.50Z",
            "20260131235959.5",
            "20260131235959+01",
            "20261331235959Z",
            "2026013123595éZ",
            "+0260131235959Z",
            "18990101000000Z",
        ] {
            assert_eq!(GenTime::parse(wrong), None, "{wrong}");
        }
    }
}
