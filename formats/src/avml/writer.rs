// SPDX-License-Identifier: MIT OR Apache-2.0
//! Writing an AVML image, front to back.

use super::block::MAX_BLOCK_BYTES;
use super::encoder::SnappyEncoder;
use crate::records::RecordHeader;
use crate::sequence::Sequence;
use crate::{Chunk, ChunkEncoder, ImageOutput, ImagePlan, ImageWriter, WriteError};
use linpmem_phys::{PhysLen, PhysRange};
use std::sync::Arc;

/// Writes AVML's compressed blocks, one a chunk.
///
/// For those whose tools know nothing else: Volatility 3 hangs on a block that
/// does not compress. Kinds, unreadable pages and all that is known of the machine
/// are lost, unless they are kept beside the image.
#[derive(Debug)]
pub struct Writer {
    sequence: Sequence,
}

impl Writer {
    /// A writer of the image that `plan` describes.
    #[must_use]
    pub fn new(plan: &ImagePlan) -> Self {
        Self {
            sequence: Sequence::new(plan),
        }
    }
}

impl ImageWriter for Writer {
    /// Nowhere in one piece.
    fn data_offset(&self, _index: usize) -> Option<u64> {
        None
    }

    fn encoder(&self) -> Option<Arc<dyn ChunkEncoder>> {
        Some(Arc::new(SnappyEncoder))
    }

    fn begin(&mut self, _out: &mut dyn ImageOutput) -> Result<(), WriteError> {
        self.sequence.begin()
    }

    fn chunk(&mut self, chunk: &Chunk<'_>, out: &mut dyn ImageOutput) -> Result<(), WriteError> {
        self.sequence.advance(chunk)?;
        let len = u64::try_from(chunk.data.len()).unwrap_or(u64::MAX);
        let range = PhysRange::from_len(chunk.start, PhysLen::new(len));
        let Some(range) = range.ok().filter(|_| len <= MAX_BLOCK_BYTES) else {
            return Err(WriteError::Misuse("a chunk is empty or above 64 MiB"));
        };
        let stream = chunk.frame.clone().unwrap_or_else(|| {
            let mut encoded = Vec::new();
            SnappyEncoder.encode(chunk.start, &chunk.data, &mut encoded);
            encoded.into()
        });
        let stream_bytes = u64::try_from(stream.len()).unwrap_or(u64::MAX);
        out.bytes(&RecordHeader::avml(range).encode())?;
        out.shared(&stream)?;
        out.bytes(&stream_bytes.to_le_bytes())?;
        Ok(())
    }

    fn finish(&mut self, _out: &mut dyn ImageOutput) -> Result<(), WriteError> {
        self.sequence.finish()
    }
}
