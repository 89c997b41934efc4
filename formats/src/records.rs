// SPDX-License-Identifier: MIT OR Apache-2.0
//! The header of a record, as LiME has it (`lime_mem_range_header` of its
//! src/lime.h) and AVML after it (its src/image.rs). All numbers little-endian.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 4 | magic number |
//! | 4 | 4 | version: 1 is LiME, 2 is AVML's compressed record |
//! | 8 | 8 | first physical address |
//! | 16 | 8 | last physical address, included |
//! | 24 | 8 | 0 |

use crate::StoredRange;
use linpmem_phys::{PhysAddr, PhysRange};
use scroll::{LE, Pread};

/// Bytes of a header.
pub(crate) const HEADER_BYTES: usize = 32;

const LIME_MAGIC: u32 = 0x4c69_4d45;
const LIME_VERSION: u32 = 1;
const AVML_MAGIC: u32 = 0x4c4d_5641;
const AVML_VERSION: u32 = 2;

/// A header that could be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RecordHeader {
    pub(crate) range: PhysRange,
    /// Whether the memory that follows is AVML's compressed form.
    pub(crate) is_compressed: bool,
    /// Whether the eight bytes that nobody uses are 0.
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
        let word = |offset| encoded.pread_with::<u32>(offset, LE).unwrap_or(0);
        let long = |offset| encoded.pread_with::<u64>(offset, LE).unwrap_or(0);
        let is_compressed = match (word(0), word(4)) {
            (LIME_MAGIC, LIME_VERSION) => false,
            (AVML_MAGIC, AVML_VERSION) => true,
            (LIME_MAGIC | AVML_MAGIC, _) => return Err("its version is not known"),
            _ => return Err("there is no magic number where it should begin"),
        };
        let (first, last) = (PhysAddr::new(long(8)), PhysAddr::new(long(16)));
        let range = PhysRange::from_inclusive(first, last)
            .map_err(|_| "its last address lies below its first, or at the end of all addresses")?;
        Ok(Self {
            range,
            is_compressed,
            reserved_is_zero: long(24) == 0,
        })
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

/// An image of LiME's or AVML's records that cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file could not be read.
    #[error("reading the record at offset {offset}: {source}")]
    Io {
        /// Where the record, or what was read of it, begins.
        offset: u64,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A record that contradicts itself.
    #[error("the record at offset {offset} is damaged: {what}")]
    Record {
        /// Where it begins.
        offset: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// A record that is longer than the file.
    #[error(
        "the record of {range} at offset {offset} reaches beyond the file's {file} bytes: it is \
         truncated"
    )]
    BeyondFile {
        /// Where it begins.
        offset: u64,
        /// Its addresses.
        range: PhysRange,
        /// Bytes of the file.
        file: u64,
    },
    /// More records than anyone has memory ranges.
    #[error("the image has more than {limit} records; so many are not believed")]
    TooManyRecords {
        /// The most that is believed.
        limit: usize,
    },
    /// Two records hold the same addresses.
    #[error("two records both claim addresses: {upper} and {lower}")]
    Overlap {
        /// The one that begins first.
        lower: PhysRange,
        /// The one that begins within it.
        upper: PhysRange,
    },
    /// No record.
    #[error("the image holds no record")]
    Empty,
}

/// Brings the ranges of records into the order of their addresses.
pub(crate) fn sort(ranges: &mut [StoredRange], warnings: &mut Vec<String>) -> Result<(), Error> {
    if ranges.is_empty() {
        return Err(Error::Empty);
    }
    if !ranges.is_sorted_by_key(|stored| stored.range) {
        warnings.push("the records are not in the order of their addresses".to_owned());
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
            partial = partial.saturating_add(1);
        }
        lower = Some(upper);
    }
    if partial > 0 {
        warnings.push(format!(
            "{partial} records begin or end within a page (AVML up to 0.20 loses the last byte of \
             each range): the rest of that page is not in the image"
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
    fn headers_that_cannot_be_are_refused() {
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
        let mut untidy = good;
        untidy[31] = 1;
        assert!(!RecordHeader::parse(&untidy).unwrap().reserved_is_zero);
    }
}
