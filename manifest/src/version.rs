// SPDX-License-Identifier: MIT OR Apache-2.0
//! The version of the format.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The number in `manifest_version`. It grows when a reader of the old format would
/// misunderstand the new one.
pub const VERSION: u32 = 2;

/// [`VERSION`] as a field; reading any other number fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Version;

impl Serialize for Version {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(VERSION)
    }
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u32::deserialize(deserializer)? {
            VERSION => Ok(Self),
            other => Err(D::Error::custom(format_args!(
                "manifest version {other} instead of {VERSION}"
            ))),
        }
    }
}

/// The version in `line`, the first of a manifest. `next` reads the line after it, where
/// version 1 has it. `None` if there is no version.
pub(crate) fn probe(line: &[u8], next: impl FnOnce() -> Vec<u8>) -> Option<u64> {
    /// The part that the beginning of every version has.
    #[derive(Deserialize)]
    struct Beginning {
        manifest_version: Option<u64>,
        header: Option<Versioned>,
    }

    #[derive(Deserialize)]
    struct Versioned {
        manifest_version: Option<u64>,
    }

    if line.trim_ascii() == b"{" {
        let line = next();
        let rest = line.trim_ascii().strip_prefix(b"\"manifest_version\":")?;
        return serde_json::from_slice(rest.strip_suffix(b",").unwrap_or(rest)).ok();
    }
    let beginning: Beginning = serde_json::from_slice(line).ok()?;
    let within = beginning.header.and_then(|header| header.manifest_version);
    beginning.manifest_version.or(within)
}
