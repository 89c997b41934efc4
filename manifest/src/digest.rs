// SPDX-License-Identifier: MIT OR Apache-2.0
//! SHA-256 hashes.

use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// A SHA-256 hash. In text and JSON: 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sha256Sum([u8; 32]);

/// Text that is not a SHA-256 hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a SHA-256 hash has 64 hexadecimal digits")]
pub struct NotASum;

impl Sha256Sum {
    /// The hash with these bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes of the hash.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<[u8; 32]> for Sha256Sum {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl TryFrom<&[u8]> for Sha256Sum {
    type Error = NotASum;

    fn try_from(bytes: &[u8]) -> Result<Self, NotASum> {
        bytes.try_into().map(Self).map_err(|_| NotASum)
    }
}

impl Sha256Sum {
    /// Its digits. A manifest has a hash for each chunk, so this avoids formatting each byte
    /// by itself.
    fn digits(&self) -> [u8; 64] {
        let digit = |nibble: u8| match nibble {
            0..=9 => b'0' + nibble,
            _ => b'a' + (nibble - 10),
        };
        let mut digits = [0; 64];
        for (pair, byte) in digits.chunks_exact_mut(2).zip(self.0) {
            pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 0xf)]);
        }
        digits
    }
}

impl fmt::Display for Sha256Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.digits()).map_err(|_| fmt::Error)?)
    }
}

impl FromStr for Sha256Sum {
    type Err = NotASum;

    fn from_str(text: &str) -> Result<Self, NotASum> {
        let nibble = |digit: u8| match digit {
            b'0'..=b'9' => Ok(digit - b'0'),
            b'a'..=b'f' => Ok(digit - b'a' + 10),
            b'A'..=b'F' => Ok(digit - b'A' + 10),
            _ => Err(NotASum),
        };
        if text.len() != 64 {
            return Err(NotASum);
        }
        let mut sum = [0; 32];
        for (byte, pair) in sum.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let &[high, low] = pair else {
                return Err(NotASum);
            };
            *byte = nibble(high)? << 4 | nibble(low)?;
        }
        Ok(Self(sum))
    }
}

impl Serialize for Sha256Sum {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let digits = self.digits();
        serializer.serialize_str(std::str::from_utf8(&digits).map_err(S::Error::custom)?)
    }
}

impl<'de> Deserialize<'de> for Sha256Sum {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_as_sha256sum_does_and_reads_back() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let sum: Sha256Sum = empty.parse().unwrap();
        assert_eq!(sum.as_bytes()[..3], [0xe3, 0xb0, 0xc4]);
        assert_eq!(sum.to_string(), empty);
        assert!(empty[1..].parse::<Sha256Sum>().is_err());
        assert!(format!("+{}", &empty[1..]).parse::<Sha256Sum>().is_err());
    }
}
