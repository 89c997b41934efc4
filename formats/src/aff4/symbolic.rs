// SPDX-License-Identifier: MIT OR Apache-2.0
//! Symbolic streams, which are not stored: each byte follows from its offset.

use super::schema::{AFF4, EVIMETRY, UNKNOWN, UNREADABLE, ZERO};
use linpmem_phys::num::u64_as_usize;

/// An infinite stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Symbolic {
    /// The same byte throughout.
    Byte(u8),
    /// Memory that was never read: `UNKNOWN`, repeated.
    Unknown,
    /// Memory that could not be read: `UNREADABLEDATA`, repeated.
    Unreadable,
}

/// What precedes the digits of a byte in Evimetry's volumes from before the standard,
/// which also write `FF` alone.
const EVIMETRY_SYMBOLIC: &str = "http://afflib.org/2012/SymbolicStream#";

/// The texts start over at each multiple of this.
const PERIOD: u64 = 1 << 20;

impl Symbolic {
    /// The stream with the name `iri` in the vocabulary.
    pub(super) fn from_iri(iri: &str) -> Option<Self> {
        match iri {
            ZERO => return Some(Self::Byte(0)),
            UNKNOWN => return Some(Self::Unknown),
            UNREADABLE => return Some(Self::Unreadable),
            _ => {}
        }
        let digits = match iri.strip_prefix(AFF4) {
            Some(name) => name.strip_prefix("SymbolicStream")?,
            None => match iri.strip_prefix(EVIMETRY) {
                Some("Zero") => return Some(Self::Byte(0)),
                Some("UnknownData") => return Some(Self::Unknown),
                Some("UnreadableData") => return Some(Self::Unreadable),
                Some(digits) => digits,
                None => iri.strip_prefix(EVIMETRY_SYMBOLIC)?,
            },
        };
        if digits.len() != 2 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        u8::from_str_radix(digits, 16).ok().map(Self::Byte)
    }

    /// Fills `buf` with the stream's bytes from `offset` on.
    pub(super) fn fill(self, offset: u64, buf: &mut [u8]) {
        let text: &[u8] = match self {
            Self::Byte(byte) => return buf.fill(byte),
            Self::Unknown => b"UNKNOWN",
            Self::Unreadable => b"UNREADABLEDATA",
        };
        let mut rest = buf;
        let mut within = offset % PERIOD;
        while !rest.is_empty() {
            let left = u64_as_usize(PERIOD - within);
            let (target, tail) = rest.split_at_mut(left.min(rest.len()));
            let skipped = u64_as_usize(within) % text.len();
            for (byte, value) in target.iter_mut().zip(text.iter().cycle().skip(skipped)) {
                *byte = *value;
            }
            rest = tail;
            within = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_start_over_every_mebibyte() {
        let mut buf = [0; 12];
        Symbolic::Unknown.fill((1 << 20) - 3, &mut buf);
        // 2^20 - 3 is 1 more than a multiple of 7.
        assert_eq!(&buf, b"NKNUNKNOWNUN");
        let mut buf = [0; 4];
        Symbolic::Unreadable.fill(15, &mut buf);
        assert_eq!(&buf, b"NREA");
        let byte = Symbolic::from_iri("http://aff4.org/Schema#SymbolicStreamAB").unwrap();
        byte.fill(u64::MAX, &mut buf);
        assert_eq!(buf, [0xab; 4]);
        assert_eq!(
            Symbolic::from_iri("http://aff4.org/Schema#SymbolicStream+1"),
            None
        );
    }
}
