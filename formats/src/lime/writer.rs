// SPDX-License-Identifier: MIT OR Apache-2.0
//! Writing a LiME image, front to back.

use crate::records::{HEADER_BYTES, RecordHeader};
use crate::sequence::Sequence;
use crate::{Chunk, ImageOutput, ImagePlan, ImageWriter, PlannedRange, WriteError};

/// Writes LiME's records: one a range, whole pages, ascending, and nothing after
/// the last, since Volatility 3 takes what follows for another record.
///
/// Kinds, unreadable pages (which are zero) and all that is known of the machine
/// are lost, unless they are kept beside the image.
#[derive(Debug)]
pub struct Writer {
    ranges: Vec<Placed>,
    sequence: Sequence,
    /// The range whose header comes next.
    next: usize,
}

#[derive(Clone, Copy, Debug)]
struct Placed {
    planned: PlannedRange,
    /// Where its memory begins.
    data: u64,
}

impl Writer {
    /// A writer of the image that `plan` describes.
    ///
    /// # Errors
    /// If the image would pass 2^64 bytes.
    pub fn new(plan: &ImagePlan) -> Result<Self, WriteError> {
        let too_big = || WriteError::Unsupported("a LiME image ends below 2^64 bytes".to_owned());
        let header_bytes = u64::try_from(HEADER_BYTES).map_err(|_| too_big())?;
        let mut ranges = Vec::with_capacity(plan.ranges().len());
        let mut next: u64 = 0;
        for &planned in plan.ranges() {
            let data = next.checked_add(header_bytes).ok_or_else(too_big)?;
            ranges.push(Placed { planned, data });
            next = data
                .checked_add(planned.range.len().get())
                .ok_or_else(too_big)?;
        }
        Ok(Self {
            ranges,
            sequence: Sequence::new(plan),
            next: 0,
        })
    }
}

impl ImageWriter for Writer {
    fn data_offset(&self, index: usize) -> Option<u64> {
        self.ranges.get(index).map(|placed| placed.data)
    }

    fn begin(&mut self, _out: &mut dyn ImageOutput) -> Result<(), WriteError> {
        self.sequence.begin()
    }

    fn chunk(&mut self, chunk: &Chunk<'_>, out: &mut dyn ImageOutput) -> Result<(), WriteError> {
        self.sequence.advance(chunk)?;
        if let Some(placed) = self.ranges.get(self.next) {
            let range = placed.planned.range;
            if chunk.start == range.start() {
                out.bytes(&RecordHeader::lime(range).encode())?;
                self.next = self.next.saturating_add(1);
            }
        }
        out.chunk(chunk)?;
        Ok(())
    }

    fn finish(&mut self, _out: &mut dyn ImageOutput) -> Result<(), WriteError> {
        self.sequence.finish()
    }
}
