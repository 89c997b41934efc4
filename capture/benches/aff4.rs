// SPDX-License-Identifier: MIT OR Apache-2.0
//! AFF4 images, written and read, beside raw images and beside the compression
//! alone. A JSON object a line: name, value and baseline in MiB/s.
//!
//! Nothing is read from or written to a disk: memory comes out of a buffer, and
//! images go nowhere, or into memory.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a benchmark that fails may say so by a panic"
)]

use bytes::Bytes;
use linpmem_capture::clock::Moment;
use linpmem_capture::meter::Meter;
use linpmem_capture::pipeline::{Acquisition, End, run};
use linpmem_capture::reader::Direct;
use linpmem_capture::sink::Sink;
use linpmem_capture::stop::Stop;
use linpmem_capture::{EmbeddedManifest, HashSpec, this_machine};
use linpmem_formats::{
    Codec, ImagePlan, ImageReader, ImageWriter, MachineFacts, PlannedRange, ReadAt, aff4, raw,
};
use linpmem_manifest::{Header, ImageRecord, MachineRecord, ManifestWriter};
use linpmem_manifest::{SourceRecord, Tool, Version};
use linpmem_phys::{
    PhysAddr, PhysLen, PhysRange, ReadPhys, RegionKind, SourceError, Unreadables, ZeroBlocks,
};
use serde_json::json;
use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

const BYTES: usize = 512 << 20;
/// What linpmem-dump takes for memory of this size.
const CHUNKS_IN_SEGMENT: u32 = 256;
const ROUNDS: usize = 3;
const PIECE: usize = 1 << 20;

/// Memory as machines have it, roughly: a quarter zeros, a quarter noise, the rest
/// text and tables of small numbers and pointers.
struct Memory(Bytes);

impl Memory {
    fn new() -> Self {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        let mut bytes = vec![0; BYTES];
        for (number, part) in bytes.chunks_mut(64 << 10).enumerate() {
            match number % 4 {
                0 => {}
                1 => part
                    .chunks_exact_mut(8)
                    .for_each(|word| word.copy_from_slice(&next().to_le_bytes())),
                2 => {
                    let words = ["the ", "quick ", "brown ", "kernel ", "jumps\n", "over "];
                    let mut text = Vec::with_capacity(part.len() + 8);
                    while text.len() < part.len() {
                        let word = usize::try_from(next() % 6).unwrap();
                        text.extend_from_slice(words[word].as_bytes());
                    }
                    part.copy_from_slice(&text[..part.len()]);
                }
                _ => part.chunks_exact_mut(16).for_each(|pair| {
                    let pointer = 0xffff_8880_0000_0000_u64 | (next() & 0x3fff_ffc0);
                    pair[..8].copy_from_slice(&pointer.to_le_bytes());
                    pair[8] = u8::try_from(next() & 0xff).unwrap();
                }),
            }
        }
        Self(bytes.into())
    }
}

impl ReadPhys for Memory {
    fn read_phys(
        &self,
        start: PhysAddr,
        buf: &mut [u8],
        _unreadable: &mut Unreadables,
    ) -> Result<(), SourceError> {
        let from = usize::try_from(start.get()).unwrap();
        buf.copy_from_slice(&self.0[from..from + buf.len()]);
        Ok(())
    }
}

/// Keeps what it is given, or only counts it.
struct Kept {
    bytes: Option<Vec<u8>>,
    position: u64,
}

impl Sink for Kept {
    fn position(&self) -> u64 {
        self.position
    }

    fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.position += u64::try_from(bytes.len()).unwrap();
        if let Some(kept) = &mut self.bytes {
            kept.extend_from_slice(bytes);
        }
        Ok(())
    }

    fn zeros(&mut self, len: u64) -> io::Result<()> {
        self.position += len;
        if let Some(kept) = &mut self.bytes {
            kept.resize(kept.len() + usize::try_from(len).unwrap(), 0);
        }
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn main() {
    let memory = Memory::new();
    let plan = plan();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut all_threads = vec![1, cores];
    all_threads.dedup();
    let compressions = [
        aff4::Compression::Snappy,
        aff4::Compression::Lz4,
        aff4::Compression::Zlib,
        aff4::Compression::None,
    ];
    let raw = || -> Box<dyn ImageWriter> {
        Box::new(raw::Writer::new(&plan, raw::Layout::Concatenated).unwrap())
    };
    for &threads in &all_threads {
        let of_raw = best(|| drop(acquire(&memory, &plan, raw(), threads, false)));
        tell(&format!("write raw, {threads} threads"), of_raw, None);
        for compression in compressions {
            let name = format!("write {compression}, {threads} threads");
            let whole = best(|| {
                let writer = Box::new(aff4::Writer::new(&plan, options(compression)).unwrap());
                drop(acquire(&memory, &plan, writer, threads, false));
            });
            tell(&format!("{name} to raw"), whole, Some(of_raw));
            let codec = best(|| encode(&memory, &plan, bare(compression), threads));
            tell(&format!("{name} to codec"), whole, Some(codec));
            let unhashed = best(|| {
                let writer = aff4::Writer::new(&plan, bare(compression)).unwrap();
                write_alone(&memory, writer, threads);
            });
            tell(&format!("{name}, no sums, to codec"), unhashed, Some(codec));
        }
    }
    let writer = raw();
    let image = acquire(&memory, &plan, writer, cores, true);
    let raw: Arc<dyn ImageReader> = Arc::new(
        raw::Reader::new(Arc::new(image), plan.ranges(), raw::Layout::Concatenated).unwrap(),
    );
    let images: Vec<(aff4::Compression, Arc<Vec<u8>>)> = compressions
        .map(|compression| {
            let writer = Box::new(aff4::Writer::new(&plan, options(compression)).unwrap());
            let image = acquire(&memory, &plan, writer, cores, true);
            (compression, Arc::new(image))
        })
        .into();
    for &threads in &all_threads {
        let of_raw = best(|| read(&*raw, threads));
        tell(&format!("read raw, {threads} threads"), of_raw, None);
        for (compression, bytes) in &images {
            let of_aff4 = best(|| {
                // Anew each time: chunks stay in its cache.
                let source: Arc<dyn ReadAt> = Arc::new(Shared(Arc::clone(bytes)));
                let reader = aff4::Reader::open(vec![source]).unwrap();
                read(&reader, threads);
            });
            let name = format!("read {compression}, {threads} threads to raw");
            tell(&name, of_aff4, Some(of_raw));
        }
    }
}

/// An image that several readers look at.
struct Shared(Arc<Vec<u8>>);

impl ReadAt for Shared {
    fn len(&self) -> u64 {
        ReadAt::len(&*self.0)
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.0.as_slice().read_exact_at(offset, buf)
    }
}

fn tell(name: &str, value: f64, baseline: Option<f64>) {
    println!(
        "{}",
        json!({ "name": name, "value": value, "baseline": baseline })
    );
}

/// The best of some rounds, in MiB of memory a second.
fn best(mut round: impl FnMut()) -> f64 {
    let mut best = f64::MAX;
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        round();
        best = best.min(begun.elapsed().as_secs_f64());
    }
    f64::from(u32::try_from(BYTES >> 20).unwrap()) / best
}

fn plan() -> ImagePlan {
    let len = PhysLen::new(u64::try_from(BYTES).unwrap());
    let range = PlannedRange {
        range: PhysRange::from_len(PhysAddr::ZERO, len).unwrap(),
        kind: RegionKind::SystemRam,
    };
    ImagePlan::new(vec![range], MachineFacts::default()).unwrap()
}

fn options(compression: aff4::Compression) -> aff4::Options {
    let urns = aff4::Urns::from_random([[1; 16], [2; 16], [3; 16], [4; 16]]);
    let clock = aff4::Clock::new(|| Moment::now().stamp().utc);
    aff4::Options {
        compression,
        chunks_in_segment: CHUNKS_IN_SEGMENT,
        ..aff4::Options::new(urns, clock, "bench")
    }
}

/// Without any sums.
fn bare(compression: aff4::Compression) -> aff4::Options {
    aff4::Options {
        block_hashes: Vec::new(),
        linear_hashes: Vec::new(),
        ..options(compression)
    }
}

/// As linpmem-dump acquires: all sums, and a manifest.
fn acquire(
    memory: &Memory,
    plan: &ImagePlan,
    mut writer: Box<dyn ImageWriter>,
    threads: usize,
    keep: bool,
) -> Vec<u8> {
    let mut sink = Kept {
        bytes: keep.then(Vec::new),
        position: 0,
    };
    let mut manifest = ManifestWriter::new(io::sink(), &header()).unwrap();
    let acquisition = Acquisition {
        source: &Direct(memory),
        plan,
        codec: Codec::None,
        hashes: &HashSpec {
            file_sha256: true,
            further: Vec::new(),
        },
        workers: NonZeroUsize::new(threads).unwrap(),
        bytes_per_s: None,
        started: Moment::now(),
        stop: &Stop::default(),
        meter: &Meter::default(),
    };
    let embedded = EmbeddedManifest::default();
    let outcome = run(
        acquisition,
        &mut *writer,
        &mut sink,
        &mut manifest,
        &embedded,
    );
    assert!(matches!(outcome.end, End::Whole), "{:?}", outcome.end);
    sink.bytes.unwrap_or_default()
}

/// Nothing but the compression of every block that is not zero.
fn encode(memory: &Memory, plan: &ImagePlan, options: aff4::Options, threads: usize) {
    let encoder = aff4::Writer::new(plan, options).unwrap().encoder().unwrap();
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut frame = Vec::new();
                loop {
                    let from = next.fetch_add(PIECE, Ordering::Relaxed);
                    let Some(piece) = memory.0.get(from..from + PIECE) else {
                        break;
                    };
                    let start = PhysAddr::new(u64::try_from(from).unwrap());
                    encoder.encode(start, piece, &mut frame);
                    std::hint::black_box(&frame);
                }
            });
        }
    });
}

/// The writer behind its workers, and no sums of the pipeline's.
fn write_alone(memory: &Memory, mut writer: aff4::Writer, threads: usize) {
    use linpmem_formats::{Chunk, ImageOutput, OutputError};

    struct Nowhere(u64);
    impl ImageOutput for Nowhere {
        fn position(&self) -> u64 {
            self.0
        }
        fn bytes(&mut self, bytes: &[u8]) -> Result<(), OutputError> {
            self.0 += u64::try_from(bytes.len()).unwrap();
            Ok(())
        }
        fn zeros(&mut self, len: u64) -> Result<(), OutputError> {
            self.0 += len;
            Ok(())
        }
        fn chunk(&mut self, chunk: &Chunk<'_>) -> Result<(), OutputError> {
            self.bytes(&chunk.data)
        }
    }

    let encoder = writer.encoder().unwrap();
    let out = &mut Nowhere(0);
    writer.begin(out).unwrap();
    std::thread::scope(|scope| {
        // One lane a worker: the order is kept by taking from each in turn.
        let lanes: Vec<_> = (0..threads)
            .map(|lane| {
                let (done, ready) = std::sync::mpsc::sync_channel::<Vec<u8>>(2);
                let (back, spare) = std::sync::mpsc::channel::<Vec<u8>>();
                let encoder = Arc::clone(&encoder);
                scope.spawn(move || {
                    for from in (lane * PIECE..BYTES).step_by(threads * PIECE) {
                        let mut frame = spare.try_recv().unwrap_or_default();
                        let start = PhysAddr::new(u64::try_from(from).unwrap());
                        encoder.encode(start, &memory.0[from..from + PIECE], &mut frame);
                        done.send(frame).unwrap();
                    }
                });
                (ready, back)
            })
            .collect();
        for (number, from) in (0..BYTES).step_by(PIECE).enumerate() {
            let (ready, back) = &lanes[number % threads];
            let frame = ready.recv().unwrap();
            let chunk = Chunk {
                start: PhysAddr::new(u64::try_from(from).unwrap()),
                data: memory.0.slice(from..from + PIECE),
                // None of it is zero throughout.
                zeros: ZeroBlocks::of(&[1]),
                frame: Some(frame.into()),
                unreadable: &[],
            };
            writer.chunk(&chunk, out).unwrap();
            let _ = back.send(chunk.frame.unwrap().into());
        }
    });
    writer.finish(out).unwrap();
}

fn read(image: &dyn ImageReader, threads: usize) {
    std::thread::scope(|scope| {
        for thread in 0..threads {
            scope.spawn(move || {
                let mut buf = vec![0; PIECE];
                let mut unreadable = Unreadables::new();
                let share = BYTES / threads;
                for from in (thread * share..(thread + 1) * share).step_by(PIECE) {
                    let start = PhysAddr::new(u64::try_from(from).unwrap());
                    image.read_phys(start, &mut buf, &mut unreadable).unwrap();
                }
                assert!(unreadable.is_empty());
            });
        }
    });
}

fn header() -> Header {
    Header {
        manifest_version: Version,
        tool: Tool {
            name: "bench".to_owned(),
            version: String::new(),
        },
        command: Vec::new(),
        host: this_machine(),
        source: SourceRecord::single("bench", String::new(), None),
        started: Moment::now().stamp(),
        machine: MachineRecord::default(),
        iomem: None,
        frozen: Vec::new(),
        read_first: None,
        map: Vec::new(),
        image: ImageRecord {
            name: "-".to_owned(),
            format: "aff4".to_owned(),
            raw_layout: None,
            compression: "none".to_owned(),
            chunk_bytes: 0,
            planned_bytes: 0,
        },
        artifacts: None,
    }
}
