// SPDX-License-Identifier: MIT OR Apache-2.0
//! AFF4 images for the tests: memory with zeros and unreadable pages in it.

use crate::memory::{fill, plan, ram, range};
use crate::outputs::VecOutput;
use linpmem_formats::{Chunk, ImageOutput, ImagePlan, ImageWriter, PlannedRange, WriteError, aff4};
use linpmem_phys::{Errno, PhysLen, PhysRange, RegionKind, Unreadable};
use std::sync::Arc;

/// Options that make the same bytes each time.
pub fn options(compression: aff4::Compression) -> aff4::Options {
    let urns = aff4::Urns::from_random([[1; 16], [2; 16], [3; 16], [4; 16]]);
    let clock = aff4::Clock::new(|| "2025-01-31T12:00:00Z".to_owned());
    aff4::Options {
        compression,
        linear_hashes: vec![aff4::HashAlgorithm::Sha256],
        chunks_in_segment: 4,
        ..aff4::Options::new(urns, clock, "linpmem-formats test")
    }
}

/// Memory: the planned ranges, and which of their pages cannot be read.
#[derive(Clone, Debug)]
pub struct Memory {
    pub plan: ImagePlan,
    pub unreadable: Vec<PhysRange>,
}

/// A little of everything: adjacent ranges, ranges that begin within a block, holes, zero
/// blocks, unreadable pages in data and in zeros.
pub fn mixed() -> Memory {
    let reserved = PlannedRange {
        range: range(0x9_f000, 0xa_0000),
        kind: RegionKind::Reserved,
    };
    Memory {
        plan: plan(vec![
            ram(0x1000, 0x9_f000),
            reserved,
            ram(0x10_0000, 0x24_3000),
        ]),
        unreadable: vec![
            range(0x3000, 0x4000),
            range(0x2_0000, 0x3_1000),
            range(0x20_5000, 0x20_6000),
            range(0x24_2000, 0x24_3000),
        ],
    }
}

impl Memory {
    /// The bytes of `piece`, and which of them cannot be read. Every fifth run of 64 KiB is
    /// zero.
    pub fn read(&self, piece: PhysRange) -> (Vec<u8>, Vec<Unreadable>) {
        let mut data = vec![0; usize::try_from(piece.len().get()).unwrap()];
        fill(piece.start(), &mut data);
        for (addr, byte) in (piece.start().get()..).zip(&mut data) {
            if (addr >> 16) % 5 == 3 {
                *byte = 0;
            }
        }
        let mut unreadable = Vec::new();
        for range in &self.unreadable {
            if let Some(part) = range.intersect(piece) {
                let at = |addr: u64| usize::try_from(addr - piece.start().get()).unwrap();
                data[at(part.start().get())..at(part.end().get())].fill(0);
                unreadable.push(Unreadable {
                    range: part,
                    errno: Errno::EIO,
                });
            }
        }
        (data, unreadable)
    }

    /// Writes all of it in chunks of up to `step` bytes, encoded beforehand or not.
    pub fn write(
        &self,
        options: aff4::Options,
        step: u64,
        encoded: bool,
        out: &mut dyn ImageOutput,
    ) {
        self.try_write(options, step, encoded, out).unwrap();
    }

    /// The result of the last call.
    pub fn try_write(
        &self,
        options: aff4::Options,
        step: u64,
        encoded: bool,
        out: &mut dyn ImageOutput,
    ) -> Result<(), WriteError> {
        let mut writer = aff4::Writer::new(&self.plan, options).unwrap();
        let encoder = writer.encoder().unwrap();
        writer.begin(out).unwrap();
        let mut frame = Vec::new();
        for planned in self.plan.ranges() {
            for piece in planned.range.pieces(PhysLen::new(step)) {
                let (data, unreadable) = self.read(piece);
                let is_zero = data.iter().all(|&byte| byte == 0);
                if encoded && !is_zero {
                    encoder.encode(piece.start(), &data, &mut frame);
                    assert!(frame.len() <= encoder.bound(data.len()));
                }
                let encoded = (encoded && !is_zero).then(|| frame.clone().into());
                let chunk = Chunk::new(piece.start(), data.into(), &unreadable);
                assert!(is_zero == chunk.is_zero());
                let chunk = chunk.with_frame(encoded);
                writer.chunk(&chunk, out).unwrap();
            }
        }
        writer.finish(out)
    }

    pub fn image(&self, options: aff4::Options) -> Vec<u8> {
        let mut out = VecOutput::default();
        self.write(options, 0x10_0000, true, &mut out);
        out.0
    }
}

pub fn open(bytes: Vec<u8>) -> aff4::Reader {
    aff4::Reader::open(vec![Arc::new(bytes)]).unwrap()
}
