// SPDX-License-Identifier: MIT OR Apache-2.0
//! The records that LiME and AVML images consist of. A record begins with the header
//! below (`lime_mem_range_header` in LiME's src/lime.h, and AVML's src/image.rs). All
//! numbers are little-endian.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 4 | magic number |
//! | 4 | 4 | version: 1 for LiME, 2 for AVML's compressed record |
//! | 8 | 8 | first physical address |
//! | 16 | 8 | last physical address, inclusive |
//! | 24 | 8 | reserved, 0 |

use crate::fields::Fields;
use crate::{ReadAt, StoredRange};
use linpmem_phys::num::usize_as_u64;
use linpmem_phys::{PhysAddr, PhysRange};

/// Size of a header.
pub(crate) const HEADER_BYTES: usize = 32;

const LIME_MAGIC: u32 = 0x4c69_4d45;
const LIME_VERSION: u32 = 1;
const AVML_MAGIC: u32 = 0x4c4d_5641;
const AVML_VERSION: u32 = 2;

/// The header of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RecordHeader {
    pub(crate) range: PhysRange,
    /// Whether the memory that follows is compressed, as AVML does it.
    pub(crate) is_compressed: bool,
    /// Whether the reserved bytes are 0.
    pub(crate) reserved_is_zero: bool,
}

impl RecordHeader {
    pub(crate) const fn lime(range: PhysRange) -> Self {
        Self {
            range,
            is_compressed: false,
            reserved_is_zero: true,
        }
    }

    pub(crate) const fn avml(range: PhysRange) -> Self {
        Self {
            range,
            is_compressed: true,
            reserved_is_zero: true,
        }
    }

    /// Reads a header, or says what is wrong with it.
    pub(crate) fn parse(encoded: &[u8; HEADER_BYTES]) -> Result<Self, &'static str> {
        let mut fields = Fields(encoded);
        let mut word = || fields.u32().ok_or("its header is cut off");
        let is_compressed = match (word()?, word()?) {
            (LIME_MAGIC, LIME_VERSION) => false,
            (AVML_MAGIC, AVML_VERSION) => true,
            (LIME_MAGIC | AVML_MAGIC, _) => return Err("its version is unknown"),
            _ => return Err("it does not begin with a magic number"),
        };
        let mut long = || fields.u64().ok_or("its header is cut off");
        let (first, last) = (PhysAddr::new(long()?), PhysAddr::new(long()?));
        let range = PhysRange::from_inclusive(first, last)
            .map_err(|_| "its last address is below its first, or beyond any physical address")?;
        Ok(Self {
            range,
            is_compressed,
            reserved_is_zero: long()? == 0,
        })
    }

    /// Whether `beginning`, less than a header, is how one begins.
    pub(crate) fn begins_with(beginning: &[u8]) -> bool {
        let kinds = [(LIME_MAGIC, LIME_VERSION), (AVML_MAGIC, AVML_VERSION)];
        beginning.len() < HEADER_BYTES
            && kinds.iter().any(|(magic, version)| {
                let known = magic.to_le_bytes().into_iter().chain(version.to_le_bytes());
                known.zip(beginning).all(|(known, found)| known == *found)
            })
    }

    /// Whether `next` is of the same kind and has higher addresses.
    pub(crate) fn is_followed_by(&self, next: &Self) -> bool {
        self.is_compressed == next.is_compressed && self.range.end() <= next.range.start()
    }

    pub(crate) fn encode(self) -> [u8; HEADER_BYTES] {
        let (magic, version) = match self.is_compressed {
            false => (LIME_MAGIC, LIME_VERSION),
            true => (AVML_MAGIC, AVML_VERSION),
        };
        let words = [magic, version].map(u32::to_le_bytes);
        let longs = [self.range.start().get(), self.range.last().get(), 0].map(u64::to_le_bytes);
        let mut encoded = [0; HEADER_BYTES];
        for (byte, value) in encoded
            .iter_mut()
            .zip(words.iter().flatten().chain(longs.iter().flatten()))
        {
            *byte = *value;
        }
        encoded
    }
}

/// Why a LiME or AVML image cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot read the record at offset {offset}: {source}")]
    Io {
        /// The offset in the file, in bytes.
        offset: u64,
        /// The underlying error.
        source: std::io::Error,
    },
    /// A record contradicts itself.
    #[error("the record at offset {offset} is damaged: {what}")]
    Record {
        /// Where the record begins, in bytes.
        offset: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// More records than any machine has memory ranges.
    #[error("the image has too many records (limit {limit}): it is damaged or forged")]
    TooManyRecords {
        /// The most records that are accepted.
        limit: usize,
    },
    /// Two records hold the same addresses.
    #[error("two records hold the same addresses: {lower} and {upper}")]
    Overlap {
        /// The one that begins first.
        lower: PhysRange,
        /// The one that begins within it.
        upper: PhysRange,
    },
    /// There is no record.
    #[error("the image is empty: it has no records")]
    Empty,
}

/// The header at `offset`; `None` if there is no sound one, or the file ends before it
/// does.
pub(crate) fn header_at(source: &impl ReadAt, offset: u64) -> Result<Option<RecordHeader>, Error> {
    let end = offset.checked_add(usize_as_u64(HEADER_BYTES));
    if end.is_none_or(|end| end > source.len()) {
        return Ok(None);
    }
    let mut encoded = [0; HEADER_BYTES];
    source
        .read_exact_at(offset, &mut encoded)
        .map_err(|source| Error::Io { offset, source })?;
    Ok(RecordHeader::parse(&encoded).ok())
}

/// The warning about `count` records without data.
pub(crate) fn zero_blocks(count: u64) -> String {
    format!(
        "nothing follows the header of {count} of the records, as AVML 0.16 and 0.17 write \
         memory that is zero: it is read as zeros"
    )
}

/// The warning about `count` records whose reserved bytes are not 0.
pub(crate) fn reserved_used(count: u64) -> String {
    format!("reserved bytes are not 0 in {count} records")
}

/// Sorts the ranges of records by address and checks that they are disjoint.
pub(crate) fn sort(ranges: &mut [StoredRange], warnings: &mut Vec<String>) -> Result<(), Error> {
    if ranges.is_empty() {
        return Err(Error::Empty);
    }
    if !ranges.is_sorted_by_key(|stored| stored.range) {
        warnings.push("the records are not in address order".to_owned());
        ranges.sort_by_key(|stored| stored.range);
    }
    let mut lower: Option<PhysRange> = None;
    let mut partial: u64 = 0;
    for stored in ranges.iter() {
        let upper = stored.range;
        if let Some(lower) = lower.filter(|lower| upper.start() < lower.end()) {
            return Err(Error::Overlap { lower, upper });
        }
        if !upper.start().is_page_aligned() || !upper.end().is_page_aligned() {
            partial += 1;
        }
        lower = Some(upper);
    }
    if partial > 0 {
        warnings.push(format!(
            "{partial} records begin or end within a page (AVML up to 0.20 loses the last byte of \
             each range): the image lacks the rest of these pages"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_lime_to_the_byte() {
        let range = PhysRange::new(PhysAddr::new(0x1000), PhysAddr::new(0x3000)).unwrap();
        let encoded = RecordHeader::lime(range).encode();
        assert_eq!(&encoded[..8], b"EMiL\x01\0\0\0");
        assert_eq!(encoded[8..16], 0x1000_u64.to_le_bytes());
        assert_eq!(encoded[16..24], 0x2fff_u64.to_le_bytes());
        assert_eq!(encoded[24..], [0; 8]);
        for header in [RecordHeader::lime(range), RecordHeader::avml(range)] {
            assert_eq!(RecordHeader::parse(&header.encode()), Ok(header));
        }
        assert_eq!(&RecordHeader::avml(range).encode()[..8], b"AVML\x02\0\0\0");
    }

    #[test]
    fn impossible_headers_are_refused() {
        let range = PhysRange::new(PhysAddr::new(0x1000), PhysAddr::new(0x3000)).unwrap();
        let good = RecordHeader::lime(range).encode();
        for (at, value) in [(0, 0), (4, 2), (9, 0xff), (16, 0xff)] {
            let mut bad = good;
            bad[at] = value;
            if at == 16 {
                bad[16..24].fill(0xff);
            }
            assert!(RecordHeader::parse(&bad).is_err(), "byte {at}");
        }
        let mut reserved = good;
        reserved[31] = 1;
        assert!(!RecordHeader::parse(&reserved).unwrap().reserved_is_zero);
    }
}
