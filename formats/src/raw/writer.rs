// SPDX-License-Identifier: MIT OR Apache-2.0
//! Writing a raw image, front to back.

use super::Layout;
use crate::sequence::Sequence;
use crate::{Chunk, ImageOutput, ImagePlan, ImageWriter, WriteError};

/// Writes memory and nothing else. What the machine is, which kinds the ranges
/// are and which pages could not be read is lost, unless it is kept beside it.
#[derive(Debug)]
pub struct Writer {
    offsets: Vec<u64>,
    sequence: Sequence,
    layout: Layout,
    /// Bytes written so far.
    position: u64,
}

impl Writer {
    /// A writer of the image that `plan` describes.
    ///
    /// # Errors
    /// If the image would pass 2^64 bytes.
    pub fn new(plan: &ImagePlan, layout: Layout) -> Result<Self, WriteError> {
        Ok(Self {
            offsets: layout.offsets(plan)?,
            sequence: Sequence::new(plan),
            layout,
            position: 0,
        })
    }
}

impl ImageWriter for Writer {
    fn data_offset(&self, index: usize) -> Option<u64> {
        self.offsets.get(index).copied()
    }

    fn begin(&mut self, _out: &mut dyn ImageOutput) -> Result<(), WriteError> {
        self.sequence.begin()
    }

    fn chunk(&mut self, chunk: &Chunk<'_>, out: &mut dyn ImageOutput) -> Result<(), WriteError> {
        self.sequence.advance(chunk)?;
        if self.layout == Layout::Padded {
            let gap = chunk.start.get().saturating_sub(self.position);
            if gap > 0 {
                out.zeros(gap)?;
                self.position = chunk.start.get();
            }
        }
        out.chunk(chunk)?;
        let len = u64::try_from(chunk.data.len()).unwrap_or(u64::MAX);
        // The sequence has checked that the chunk ends within its range.
        self.position = self.position.saturating_add(len);
        Ok(())
    }

    fn finish(&mut self, _out: &mut dyn ImageOutput) -> Result<(), WriteError> {
        self.sequence.finish()
    }
}
