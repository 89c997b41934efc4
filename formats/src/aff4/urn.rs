// SPDX-License-Identifier: MIT OR Apache-2.0
//! URNs of objects, and the names of the members that hold them.

use std::fmt;

/// The prefix of every URN.
const SCHEME: &str = "aff4://";
/// The same in the name of a member.
const ESCAPED_SCHEME: &str = "aff4%3A%2F%2F";

/// The URN of an object: `aff4://` and, in volumes that linpmem writes, a UUID.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Urn(String);

impl Urn {
    /// A unique URN made of 16 random bytes, as a UUID of version 4 (RFC 9562).
    #[must_use]
    pub fn from_random(random: [u8; 16]) -> Self {
        let number = u128::from_be_bytes(random);
        // Version 4 and variant 10, each in its place.
        let cleared = number & !(0xf << 76) & !(0x3 << 62);
        let digits = format!("{:032x}", cleared | (0x4 << 76) | (0x2 << 62));
        let mut text = SCHEME.to_owned();
        for (index, digit) in digits.chars().enumerate() {
            if matches!(index, 8 | 12 | 16 | 20) {
                text.push('-');
            }
            text.push(digit);
        }
        Self(text)
    }

    /// The URN `path` below this one.
    pub(super) fn join(&self, path: &str) -> Self {
        Self(format!("{}/{path}", self.0))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Urn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of the member of `volume` that holds the object `urn`.
pub(super) fn member_name(volume: &str, urn: &str) -> String {
    let below = urn
        .strip_prefix(volume)
        .and_then(|rest| rest.strip_prefix('/'));
    match (below, urn.strip_prefix(SCHEME)) {
        (Some(path), _) => path.to_owned(),
        (None, Some(rest)) => format!("{ESCAPED_SCHEME}{rest}"),
        (None, None) => urn.to_owned(),
    }
}

/// The key of a member: its absolute URN without escapes, since writers escape more or
/// fewer characters.
pub(super) fn member_key(volume: &str, name: &str) -> String {
    let decoded = unescaped(name);
    if decoded.starts_with(SCHEME) {
        decoded
    } else {
        format!("{volume}/{}", decoded.trim_start_matches('/'))
    }
}

/// The key of a URN, to compare with [`member_key`].
pub(super) fn urn_key(urn: &str) -> String {
    unescaped(urn)
}

/// Replaces each `%XX` by the byte that it stands for.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let escape = (first == b'%')
            .then(|| tail.split_first_chunk::<2>())
            .flatten()
            .and_then(|(digits, after)| Some((byte_of(*digits)?, after)));
        match escape {
            Some((byte, after)) => {
                bytes.push(byte);
                rest = after;
            }
            None => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn byte_of(digits: [u8; 2]) -> Option<u8> {
    let text = std::str::from_utf8(&digits).ok()?;
    if !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    u8::from_str_radix(text, 16).ok()
}

/// A path as a part of a URN and as the name of a member: `%` and the characters that an
/// IRI excludes are escaped.
pub(super) fn escaped_path(path: &str) -> String {
    let mut escaped = String::with_capacity(path.len());
    for byte in path.trim_start_matches('/').bytes() {
        if byte.is_ascii_alphanumeric() || b"/-_.~+@,=".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_bytes_become_a_uuid_of_version_4() {
        assert_eq!(
            Urn::from_random([0xff; 16]).to_string(),
            "aff4://ffffffff-ffff-4fff-bfff-ffffffffffff"
        );
        assert_eq!(
            Urn::from_random([0; 16]).to_string(),
            "aff4://00000000-0000-4000-8000-000000000000"
        );
    }

    #[test]
    fn members_are_found_by_their_urn_however_they_are_escaped() {
        let volume = "aff4://volume";
        for urn in ["aff4://volume/a/b c", "aff4://other/00000000.index"] {
            let name = member_name(volume, urn);
            assert_eq!(member_key(volume, &name), urn_key(urn));
        }
        assert_eq!(
            member_name(volume, "aff4://other/x"),
            "aff4%3A%2F%2Fother/x"
        );
        assert_eq!(
            member_key(volume, "proc%2fkcore/00000000"),
            "aff4://volume/proc/kcore/00000000"
        );
        assert_eq!(member_key(volume, "100%"), "aff4://volume/100%");
        let odd = "/boot/a b%<>\"é";
        assert_eq!(escaped_path(odd), "boot/a%20b%25%3C%3E%22%C3%A9");
        assert_eq!(unescaped(&escaped_path(odd)), odd.trim_start_matches('/'));
    }
}
