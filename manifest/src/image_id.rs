// SPDX-License-Identifier: MIT OR Apache-2.0
//! What tells an image from every other one.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// A UUID of version 4 (RFC 9562), made when the run began. In text and JSON: lower case, with
/// hyphens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ImageId(u128);

/// Text that is not the id of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an image's id is a UUID: 32 hexadecimal digits, with hyphens after 8, 12, 16 and 20")]
pub struct NotAnImageId;

/// How many digits each part of a UUID has.
const PARTS: [usize; 5] = [8, 4, 4, 4, 12];

impl ImageId {
    /// The id made of 16 random bytes.
    #[must_use]
    pub const fn from_random(random: [u8; 16]) -> Self {
        // Version 4 and variant 10, each in its place.
        let cleared = u128::from_be_bytes(random) & !(0xf << 76) & !(0x3 << 62);
        Self(cleared | (0x4 << 76) | (0x2 << 62))
    }
}

impl fmt::Display for ImageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = format!("{:032x}", self.0);
        let mut rest = digits.as_str();
        for (index, count) in PARTS.into_iter().enumerate() {
            let (part, after) = rest.split_at_checked(count).ok_or(fmt::Error)?;
            let hyphen = if index == 0 { "" } else { "-" };
            write!(f, "{hyphen}{part}")?;
            rest = after;
        }
        Ok(())
    }
}

impl FromStr for ImageId {
    type Err = NotAnImageId;

    fn from_str(text: &str) -> Result<Self, NotAnImageId> {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let is_uuid = text.split('-').map(str::len).eq(PARTS)
            && text.bytes().all(|byte| byte == b'-' || is_digit(byte));
        if !is_uuid {
            return Err(NotAnImageId);
        }
        u128::from_str_radix(&text.replace('-', ""), 16)
            .map(Self)
            .map_err(|_| NotAnImageId)
    }
}

impl Serialize for ImageId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ImageId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_bytes_become_a_uuid_that_reads_back() {
        let id = ImageId::from_random([0xff; 16]);
        assert_eq!(id.to_string(), "ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert_eq!(id.to_string().parse(), Ok(id));
        let small = ImageId::from_random([0; 16]);
        assert_eq!(small.to_string(), "00000000-0000-4000-8000-000000000000");
        for wrong in [
            "",
            "ffffffff-ffff-4fff-bfff-fffffffffff",
            "FFFFFFFF-ffff-4fff-bfff-ffffffffffff",
            "+fffffff-ffff-4fff-bfff-ffffffffffff",
            "ffffffffffff-4fff-bfff-ffff-ffffffff",
        ] {
            assert_eq!(wrong.parse::<ImageId>(), Err(NotAnImageId), "{wrong}");
        }
    }
}
