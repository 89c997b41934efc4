// SPDX-License-Identifier: MIT OR Apache-2.0
//! Writing an AVML image, front to back.

use super::block::MAX_BLOCK_BYTES;
use crate::records::RecordHeader;
use crate::write_order::WriteOrder;
use crate::{Chunk, ChunkEncoder, ImageOutput, ImagePlan, ImageWriter, WriteError};
use linpmem_phys::num::usize_as_u64;
use linpmem_phys::{PhysAddr, PhysLen, PhysRange};
use std::io::Write;
use std::sync::Arc;

/// Writes AVML's compressed blocks, one per chunk.
///
/// Use it only for tools that read nothing else: Volatility 3 hangs on a block that
/// does not compress. The format has no room for facts about the machine, the kinds
/// of the ranges and which pages could not be read (they are zero). They are lost
/// unless they are kept elsewhere.
#[derive(Debug)]
pub struct Writer {
    order: WriteOrder,
}

impl Writer {
    /// A writer of the image that `plan` describes.
    #[must_use]
    pub fn new(plan: &ImagePlan) -> Self {
        Self {
            order: WriteOrder::new(plan),
        }
    }
}

impl ImageWriter for Writer {
    fn data_offset(&self, _index: usize) -> Option<u64> {
        None // memory is compressed
    }

    fn encoder(&self) -> Option<Arc<dyn ChunkEncoder>> {
        Some(Arc::new(SnappyEncoder))
    }

    fn begin(&mut self, _out: &mut dyn ImageOutput) -> Result<(), WriteError> {
        self.order.begin()
    }

    fn chunk(&mut self, chunk: &Chunk<'_>, out: &mut dyn ImageOutput) -> Result<(), WriteError> {
        self.order.advance(chunk)?;
        let len = PhysLen::new(usize_as_u64(chunk.data.len()));
        let range = PhysRange::from_len(chunk.start, len);
        let Some(range) = range.ok().filter(|_| len.get() <= MAX_BLOCK_BYTES) else {
            return Err(WriteError::Misuse("a chunk is empty or above 64 MiB"));
        };
        let stream = chunk.frame.clone().unwrap_or_else(|| {
            let mut encoded = Vec::new();
            SnappyEncoder.encode(chunk.start, &chunk.data, &mut encoded);
            encoded.into()
        });
        if stream.is_empty() {
            return Err(WriteError::Misuse("Snappy did not compress a chunk"));
        }
        out.bytes(&RecordHeader::avml(range).encode())?;
        out.shared(&stream)?;
        out.bytes(&usize_as_u64(stream.len()).to_le_bytes())?;
        Ok(())
    }

    fn finish(&mut self, _out: &mut dyn ImageOutput) -> Result<(), WriteError> {
        self.order.finish()
    }
}

/// Compresses each chunk as a Snappy stream of its own. The result is empty if that
/// failed, which writing to memory does not.
#[derive(Clone, Copy, Debug)]
struct SnappyEncoder;

impl ChunkEncoder for SnappyEncoder {
    fn encode(&self, _start: PhysAddr, data: &[u8], target: &mut Vec<u8>) {
        target.clear();
        let mut encoder = snap::write::FrameEncoder::new(&mut *target);
        let written = encoder.write_all(data).and_then(|()| encoder.flush());
        drop(encoder);
        if written.is_err() {
            target.clear();
        }
    }

    fn bound(&self, len: usize) -> usize {
        // 10 bytes of identifier, and 8 bytes per frame of 64 KiB.
        snap::raw::max_compress_len(len) + len.div_ceil(1 << 16) * 8 + 10
    }
}
