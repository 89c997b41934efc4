// SPDX-License-Identifier: MIT OR Apache-2.0
//! Addresses in JSON.

use linpmem_phys::PhysAddr;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;

/// An address. In JSON it is a string such as `0x1f000`: many readers keep JSON's numbers
/// exact only up to 2^53, and decimal addresses are hard to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address(pub u64);

impl From<PhysAddr> for Address {
    fn from(addr: PhysAddr) -> Self {
        Self(addr.get())
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:#x}", self.0))
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <Cow<'de, str>>::deserialize(deserializer)?;
        text.strip_prefix("0x")
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
            .and_then(|digits| u64::from_str_radix(digits, 16).ok())
            .map(Self)
            .ok_or_else(|| D::Error::custom(format!("`{text}` is not an address (0x…)")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_hexadecimal_strings() {
        let json = serde_json::to_string(&Address(0x1f_f000)).unwrap();
        assert_eq!(json, "\"0x1ff000\"");
        assert_eq!(
            serde_json::from_str::<Address>(&json).unwrap(),
            Address(0x1f_f000)
        );
        for json in [
            "\"1000\"",
            "\"0x\"",
            "\"0x+1\"",
            "4096",
            "\"0x10000000000000000\"",
        ] {
            assert!(serde_json::from_str::<Address>(json).is_err(), "{json}");
        }
    }
}
