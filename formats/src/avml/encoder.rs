// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory in Snappy's framing format.

use crate::ChunkEncoder;
use linpmem_phys::PhysAddr;
use std::io::Write;

/// Compresses each chunk as a stream of its own.
#[derive(Clone, Copy, Debug)]
pub(super) struct SnappyEncoder;

impl ChunkEncoder for SnappyEncoder {
    fn encode(&self, _start: PhysAddr, data: &[u8], target: &mut Vec<u8>) {
        target.clear();
        let mut encoder = snap::write::FrameEncoder::new(&mut *target);
        // A vector takes everything; a stream that is short nevertheless would be
        // noticed by the writer, which knows no other form.
        let written = encoder.write_all(data).and_then(|()| encoder.flush());
        drop(encoder);
        if written.is_err() {
            target.clear();
        }
    }

    fn bound(&self, len: usize) -> usize {
        // 10 bytes of identifier, 8 bytes a frame of 64 KiB.
        let frames = len.div_ceil(1 << 16);
        snap::raw::max_compress_len(len).saturating_add(frames.saturating_mul(8).saturating_add(10))
    }
}
