// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the writer keeps in memory.

use super::*;
use crate::aff4::{Clock, Compression, Urns};
use crate::{MachineFacts, OutputError, PlannedRange};
use linpmem_phys::{PhysAddr, PhysLen, PhysRange, RegionKind};

/// Counts bytes, and keeps where the shared ones are in memory.
#[derive(Default)]
struct Counting {
    position: u64,
    copied: usize,
    shared: Vec<(usize, usize)>,
}

impl ImageOutput for Counting {
    fn position(&self) -> u64 {
        self.position
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<(), OutputError> {
        self.copied += bytes.len();
        self.position += usize_as_u64(bytes.len());
        Ok(())
    }

    fn shared(&mut self, bytes: &Bytes) -> Result<(), OutputError> {
        self.shared.push((bytes.as_ptr().addr(), bytes.len()));
        self.position += usize_as_u64(bytes.len());
        Ok(())
    }

    fn zeros(&mut self, len: u64) -> Result<(), OutputError> {
        panic!("{len} zeros in an archive");
    }

    fn chunk(&mut self, chunk: &Chunk<'_>) -> Result<(), OutputError> {
        self.bytes(&chunk.data)
    }
}

const PIECE: u64 = 1 << 20;

fn plan(len: u64) -> ImagePlan {
    let range = PlannedRange {
        range: PhysRange::from_len(PhysAddr::ZERO, PhysLen::new(len)).unwrap(),
        kind: RegionKind::SystemRam,
    };
    ImagePlan::new(vec![range], MachineFacts::default()).unwrap()
}

fn options(compression: Compression, chunks_in_segment: u32) -> Options {
    let urns = Urns::from_random([[1; 16], [2; 16], [3; 16], [4; 16]]);
    let clock = Clock::new(|| "2025-01-31T12:00:00Z".to_owned());
    Options {
        compression,
        chunks_in_segment,
        ..Options::new(urns, clock, "test")
    }
}

/// Memory without a zero block, different in each chunk.
fn chunk(number: u64) -> Bytes {
    let words = (0..PIECE / 8).map(|word| (word * number.wrapping_mul(0x9e37_79b9) + 1) % 1000);
    words.flat_map(u64::to_le_bytes).collect::<Vec<u8>>().into()
}

/// With segments of the usual 64 MiB, the writer used to keep as many bytes.
#[test]
fn a_chunk_is_in_the_output_when_the_writer_returns_and_was_not_copied() {
    let plan = plan(16 * PIECE);
    let mut writer = Writer::new(&plan, options(Compression::Snappy, 2048)).unwrap();
    let encoder = ImageWriter::encoder(&writer).unwrap();
    let mut out = Counting::default();
    writer.begin(&mut out).unwrap();
    let mut stored = 0;
    for number in 0..16 {
        let data = chunk(number);
        let start = PhysAddr::new(number * PIECE);
        let mut frame = Vec::new();
        encoder.encode(start, &data, &mut frame);
        let frame = Bytes::from(frame);
        let within = frame.as_ptr().addr()..frame.as_ptr().addr() + frame.len();
        let (copied, shared) = (out.copied, out.shared.len());
        let data = Chunk::new(start, data, &[]).with_frame(Some(frame.clone()));
        writer.chunk(&data, &mut out).unwrap();
        // One piece, in the buffer that the worker encoded it into.
        assert_eq!(out.shared.len(), shared + 1);
        let (addr, len) = out.shared[shared];
        assert!(within.contains(&addr) && within.contains(&(addr + len - 1)));
        assert!(len > 10_000, "{len}");
        stored += len;
        // The segment's header at most.
        assert!(out.copied - copied < 200, "{}", out.copied - copied);
    }
    let before = out.position;
    writer.finish(&mut out).unwrap();
    let shared: usize = out.shared.iter().map(|(_, len)| len).sum();
    assert_eq!(shared, stored);
    // Index and digests of 512 chunks, map, journal and description.
    assert!(out.position - before < 60_000, "{}", out.position - before);
}

/// Memory of 2 TiB has 32,768 segments, each with four members.
#[test]
fn little_is_kept_of_each_segment() {
    const SEGMENTS: usize = 2000;
    let blocks = u64::try_from(SEGMENTS).unwrap();
    let plan = plan(blocks << 15);
    let mut writer = Writer::new(&plan, options(Compression::None, 1)).unwrap();
    let mut out = Counting::default();
    writer.begin(&mut out).unwrap();
    let data = chunk(7).slice(..1 << 15);
    let begin = writer.zip.kept_bytes();
    for number in 0..blocks {
        let chunk = Chunk::new(PhysAddr::new(number << 15), data.clone(), &[]);
        writer.chunk(&chunk, &mut out).unwrap();
    }
    assert_eq!(writer.stream.segments(), blocks);
    let each = (writer.zip.kept_bytes() - begin) / SEGMENTS;
    // A vector may have grown to twice what it holds.
    assert!(each <= 4 * 48 * 2, "{each}");
    writer.finish(&mut out).unwrap();
}
