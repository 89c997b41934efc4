// SPDX-License-Identifier: MIT OR Apache-2.0
//! Writing a LiME image, front to back.

use crate::records::{HEADER_BYTES, RecordHeader};
use crate::write_order::WriteOrder;
use crate::{Chunk, ImageOutput, ImagePlan, ImageWriter, WriteError};
use linpmem_phys::PhysRange;
use linpmem_phys::num::usize_as_u64;

/// Writes one record per range: whole pages, ascending, and nothing after the last
/// record, since Volatility 3 takes whatever follows for another one.
///
/// The format has no room for facts about the machine, the kinds of the ranges and
/// which pages could not be read (they are zero). They are lost unless they are kept
/// elsewhere.
#[derive(Debug)]
pub struct Writer {
    ranges: Vec<Placed>,
    order: WriteOrder,
    /// The index of the range whose header comes next.
    next: usize,
}

#[derive(Clone, Copy, Debug)]
struct Placed {
    range: PhysRange,
    /// Where its memory begins in the image.
    data: u64,
}

impl Writer {
    /// A writer of the image that `plan` describes.
    ///
    /// # Errors
    /// If the image would be larger than 2^64 bytes.
    pub fn new(plan: &ImagePlan) -> Result<Self, WriteError> {
        let too_big = || {
            WriteError::Unsupported(
                "a LiME image cannot be larger than 2^64 bytes: acquire fewer ranges".to_owned(),
            )
        };
        let mut ranges = Vec::with_capacity(plan.ranges().len());
        let mut next: u64 = 0;
        for planned in plan.ranges() {
            let range = planned.range;
            let data = next
                .checked_add(usize_as_u64(HEADER_BYTES))
                .ok_or_else(too_big)?;
            ranges.push(Placed { range, data });
            next = data.checked_add(range.len().get()).ok_or_else(too_big)?;
        }
        Ok(Self {
            ranges,
            order: WriteOrder::new(plan),
            next: 0,
        })
    }
}

impl ImageWriter for Writer {
    fn data_offset(&self, index: usize) -> Option<u64> {
        self.ranges.get(index).map(|placed| placed.data)
    }

    fn begin(&mut self, _out: &mut dyn ImageOutput) -> Result<(), WriteError> {
        self.order.begin()
    }

    fn chunk(&mut self, chunk: &Chunk<'_>, out: &mut dyn ImageOutput) -> Result<(), WriteError> {
        self.order.advance(chunk)?;
        if let Some(placed) = self.ranges.get(self.next) {
            if chunk.start == placed.range.start() {
                out.bytes(&RecordHeader::lime(placed.range).encode())?;
                self.next += 1;
            }
        }
        out.chunk(chunk)?;
        Ok(())
    }

    fn finish(&mut self, _out: &mut dyn ImageOutput) -> Result<(), WriteError> {
        self.order.finish()
    }
}
