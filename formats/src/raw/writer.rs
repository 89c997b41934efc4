// SPDX-License-Identifier: MIT OR Apache-2.0
//! Writing a raw image, front to back.

use super::Layout;
use crate::write_order::WriteOrder;
use crate::{Chunk, ImageOutput, ImagePlan, ImageWriter, WriteError};
use linpmem_phys::num::usize_as_u64;

/// Writes memory without any header. Facts about the machine, the kinds of the
/// ranges and which pages could not be read (they are zero) are lost unless they are
/// kept elsewhere.
#[derive(Debug)]
pub struct Writer {
    offsets: Vec<u64>,
    order: WriteOrder,
    layout: Layout,
    /// Bytes written so far.
    position: u64,
}

impl Writer {
    /// A writer of the image that `plan` describes.
    #[must_use]
    pub fn new(plan: &ImagePlan, layout: Layout) -> Self {
        Self {
            offsets: offsets(plan, layout),
            order: WriteOrder::new(plan),
            layout,
            position: 0,
        }
    }
}

/// Where the data of each range begins.
fn offsets(plan: &ImagePlan, layout: Layout) -> Vec<u64> {
    let mut next: u64 = 0;
    plan.ranges()
        .iter()
        .map(|planned| match layout {
            Layout::Padded => planned.range.start().get(),
            Layout::Concatenated => {
                let offset = next;
                // Disjoint ranges of a 64-bit address space: the sum fits.
                next += planned.range.len().get();
                offset
            }
        })
        .collect()
}

impl ImageWriter for Writer {
    fn data_offset(&self, index: usize) -> Option<u64> {
        self.offsets.get(index).copied()
    }

    fn begin(&mut self, _out: &mut dyn ImageOutput) -> Result<(), WriteError> {
        self.order.begin()
    }

    fn chunk(&mut self, chunk: &Chunk<'_>, out: &mut dyn ImageOutput) -> Result<(), WriteError> {
        self.order.advance(chunk)?;
        if self.layout == Layout::Padded {
            let start = chunk.start.get();
            // Chunks are ascending and disjoint, and each ends where it says.
            let gap = start
                .checked_sub(self.position)
                .ok_or(WriteError::Misuse("a raw image went past the next chunk"))?;
            if gap > 0 {
                out.zeros(gap)?;
                self.position = start;
            }
        }
        out.chunk(chunk)?;
        // The chunk ends within its range, and so within 64 bits.
        self.position += usize_as_u64(chunk.data.len());
        Ok(())
    }

    fn finish(&mut self, _out: &mut dyn ImageOutput) -> Result<(), WriteError> {
        self.order.finish()
    }
}
