// SPDX-License-Identifier: MIT OR Apache-2.0
//! Plans, and the memory that they describe.

use linpmem_formats::{
    Chunk, Codec, ImageOutput, ImagePlan, ImageWriter, MachineFacts, PlannedRange,
};
use linpmem_phys::{PhysAddr, PhysLen, PhysRange, RegionKind};

/// The base of the direct map without KASLR and with four levels.
pub const DIRECT_MAP: u64 = 0xffff_8880_0000_0000;

pub fn range(start: u64, end: u64) -> PhysRange {
    PhysRange::new(PhysAddr::new(start), PhysAddr::new(end)).unwrap()
}

pub fn ram(start: u64, end: u64) -> PlannedRange {
    PlannedRange {
        range: range(start, end),
        kind: RegionKind::SystemRam,
    }
}

pub fn plan(ranges: Vec<PlannedRange>) -> ImagePlan {
    let machine = MachineFacts {
        vmcoreinfo: Some(b"OSRELEASE=6.12.0-test\nPAGESIZE=4096\n".to_vec()),
        direct_map_base: Some(DIRECT_MAP),
        paging_levels: Some(4),
        ..MachineFacts::default()
    };
    ImagePlan::new(ranges, machine).unwrap()
}

/// This number of pages, each followed by a gap of a page.
pub fn scattered(pages: u64) -> ImagePlan {
    let ranges = (0..pages).map(|index| ram(index * 0x2000, index * 0x2000 + 0x1000));
    plan(ranges.collect())
}

/// The bytes at `start`: each follows from its address, and every third page is zero.
pub fn fill(start: PhysAddr, buf: &mut [u8]) {
    for (addr, byte) in (start.get()..).zip(buf) {
        let page = addr >> 12;
        let mixed = addr.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ page;
        *byte = if page % 3 == 2 {
            0
        } else {
            mixed.to_le_bytes()[4]
        };
    }
}

/// Writes the memory of `plan` in chunks of up to `step` bytes.
pub fn write(
    plan: &ImagePlan,
    writer: &mut dyn ImageWriter,
    step: u64,
    codec: Codec,
    out: &mut dyn ImageOutput,
) {
    writer.begin(out).unwrap();
    for planned in plan.ranges() {
        for piece in planned.range.pieces(PhysLen::new(step)) {
            let mut data = vec![0; usize::try_from(piece.len().get()).unwrap()];
            fill(piece.start(), &mut data);
            let frame = match codec {
                Codec::Zstd { level } => Some(zstd::bulk::compress(&data, level).unwrap()),
                _ => None,
            };
            let chunk = Chunk::new(piece.start(), data.into(), &[]);
            let chunk = chunk.with_frame(frame.map(Into::into));
            writer.chunk(&chunk, out).unwrap();
        }
    }
    writer.finish(out).unwrap();
}
