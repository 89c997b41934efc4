// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reading a raw image.

use super::Layout;
use crate::read_span::StoredSpans;
use crate::{Format, ImageReader, MachineFacts, PlannedRange, ReadAt, StoredRange, Truncation};
use linpmem_phys::{
    Content, PhysAddr, PhysLen, PhysRange, ReadPhys, RegionKind, SourceError, Unreadables,
};

/// Reads a raw image, whose addresses the caller provides.
#[derive(Debug)]
pub struct Reader<S> {
    layout: Layout,
    memory: StoredSpans<S>,
    machine: MachineFacts,
    warnings: Vec<String>,
}

/// Why a raw image cannot be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The image is empty.
    #[error("the raw image is empty")]
    Empty,
    /// Two ranges are out of order or share addresses.
    #[error("the list of ranges is out of order: {upper} follows {lower}")]
    Disorder {
        /// The range that comes first in the list.
        lower: PhysRange,
        /// The next one.
        upper: PhysRange,
    },
    /// The image is longer than the ranges require.
    #[error(
        "the ranges require {expected} bytes, but the image has {found}: the ranges are those of \
         another image"
    )]
    Length {
        /// Bytes that the ranges require, including gaps if the image is padded.
        expected: u128,
        /// Bytes of the image.
        found: u64,
    },
}

impl<S: ReadAt> Reader<S> {
    /// Opens an image of `ranges`, which must be ascending and disjoint. What they require
    /// beyond the end of the image is missing.
    ///
    /// # Errors
    /// If they are not, or if the image is longer than they require, or empty.
    pub fn new(source: S, ranges: &[PlannedRange], layout: Layout) -> Result<Self, Error> {
        let mut stored: Vec<StoredRange> = Vec::with_capacity(ranges.len());
        let mut end: u128 = 0;
        for planned in ranges {
            let upper = planned.range;
            if let Some(lower) = stored.last().map(|lower| lower.range) {
                if upper.start() < lower.end() {
                    return Err(Error::Disorder { lower, upper });
                }
            }
            if layout == Layout::Padded {
                end = u128::from(upper.start().get());
            }
            stored.push(present(upper, Some(planned.kind), end));
            // A sum of 64-bit numbers, each for an item in memory, fits 128 bits.
            end += u128::from(upper.len().get());
        }
        let found = source.len();
        if found == 0 {
            return Err(Error::Empty);
        }
        if end < u128::from(found) {
            return Err(Error::Length {
                expected: end,
                found,
            });
        }
        Ok(Self::of(source, stored, layout))
    }

    /// Opens a padded image without a list of ranges: as one range from address 0.
    ///
    /// # Errors
    /// If the image is empty.
    pub fn padded(source: S) -> Result<Self, Error> {
        let whole = PhysRange::from_len(PhysAddr::ZERO, PhysLen::new(source.len()))
            .map_err(|_| Error::Empty)?;
        Ok(Self::of(
            source,
            vec![present(whole, None, 0)],
            Layout::Padded,
        ))
    }

    fn of(source: S, ranges: Vec<StoredRange>, layout: Layout) -> Self {
        let memory = StoredSpans::cut(source, ranges, false);
        let warnings = memory.truncation().map(|truncation| truncation.to_string());
        Self {
            layout,
            warnings: warnings.into_iter().collect(),
            memory,
            machine: MachineFacts::default(),
        }
    }
}

fn present(range: PhysRange, kind: Option<RegionKind>, offset: u128) -> StoredRange {
    StoredRange {
        range,
        kind,
        content: Content::Data,
        // An offset past 2^64 cannot match the image's length: `new` fails.
        offset: u64::try_from(offset).ok(),
    }
}

impl<S: ReadAt> ReadPhys for Reader<S> {
    fn read_phys(
        &self,
        start: PhysAddr,
        buf: &mut [u8],
        unreadable: &mut Unreadables,
    ) -> Result<(), SourceError> {
        self.memory.read_phys(start, buf, unreadable)
    }

    fn is_known_zero(&self, range: PhysRange) -> bool {
        self.memory.is_known_zero(range)
    }
}

impl<S: ReadAt> ImageReader for Reader<S> {
    fn format(&self) -> Format {
        Format::Raw(self.layout)
    }

    fn ranges(&self) -> &[StoredRange] {
        self.memory.ranges()
    }

    fn machine(&self) -> &MachineFacts {
        &self.machine
    }

    fn warnings(&self) -> &[String] {
        &self.warnings
    }

    fn truncation(&self) -> Option<Truncation> {
        self.memory.truncation()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(start: u64, end: u64) -> PlannedRange {
        PlannedRange {
            range: PhysRange::new(PhysAddr::new(start), PhysAddr::new(end)).unwrap(),
            kind: RegionKind::SystemRam,
        }
    }

    #[test]
    fn ranges_must_fit_the_image_to_the_byte() {
        let ranges = [planned(0x1000, 0x2000), planned(0x4000, 0x5000)];
        for (layout, len) in [(Layout::Concatenated, 0x2000), (Layout::Padded, 0x5000)] {
            assert!(Reader::new(vec![0; len], &ranges, layout).is_ok());
            assert!(matches!(
                Reader::new(vec![0; len + 1], &ranges, layout),
                Err(Error::Length { .. })
            ));
            let empty = Reader::new(Vec::new(), &ranges, layout);
            assert!(matches!(empty, Err(Error::Empty)));
            let cut = Reader::new(vec![0; len - 1], &ranges, layout).unwrap();
            let truncation = cut.truncation().unwrap();
            assert_eq!(truncation.first, Some(PhysAddr::new(0x4fff)));
            assert_eq!(truncation.missing, PhysLen::new(1));
        }
        let twice = [planned(0x1000, 0x3000), planned(0x2000, 0x4000)];
        assert!(matches!(
            Reader::new(vec![0; 0x4000], &twice, Layout::Concatenated),
            Err(Error::Disorder { .. })
        ));
    }

    #[test]
    fn a_padded_image_begins_at_address_zero() {
        let image = Reader::padded(vec![9; 0x3000]).unwrap();
        assert_eq!(image.ranges()[0].range, planned(0, 0x3000).range);
        assert_eq!(Reader::padded(Vec::new()).err(), Some(Error::Empty));
    }
}
