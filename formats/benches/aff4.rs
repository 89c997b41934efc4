// SPDX-License-Identifier: MIT OR Apache-2.0
//! AFF4 images, written and read, compared with raw images and with compression alone.
//! Prints a JSON object per line: name, value and baseline in MiB/s. An argument leaves out
//! all compressions but that one.
//!
//! A ratio in processor time is that of a machine with nothing else to do, even where others
//! use the processors as well.
//!
//! Nothing is read from or written to a disk: memory comes out of a buffer, and images
//! are discarded or kept in memory.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a benchmark that fails may panic"
)]

use bytes::Bytes;
use linpmem_formats::{
    Chunk, ImageOutput, ImagePlan, ImageReader, ImageWriter, MachineFacts, OutputError,
    PlannedRange, ReadAt, aff4, raw,
};
use linpmem_phys::num::usize_as_u64;
use linpmem_phys::{PhysAddr, PhysLen, PhysRange, RegionKind, Unreadables, ZeroBlocks};
use linpmem_sha256::Backend;
use sha2::{Digest, Sha256};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::{Scope, scope};
use std::time::Instant;

const BYTES: usize = 512 << 20;
/// What linpmem-dump uses for memory of this size.
const CHUNKS_IN_SEGMENT: u32 = 256;
const ROUNDS: usize = 3;
const PIECE: usize = 1 << 20;

/// Memory roughly as machines have it: a quarter zeros, a quarter noise, the rest text
/// and tables of small numbers and pointers.
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

/// Keeps the image, or only counts its bytes, and has them hashed if there is a
/// hashing thread.
struct Output {
    kept: Option<Vec<u8>>,
    position: u64,
    hash: Option<SyncSender<Bytes>>,
}

impl Output {
    fn keep(&mut self, bytes: &[u8]) {
        self.position += usize_as_u64(bytes.len());
        if let Some(kept) = &mut self.kept {
            kept.extend_from_slice(bytes);
        }
    }
}

impl ImageOutput for Output {
    fn position(&self) -> u64 {
        self.position
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<(), OutputError> {
        match &self.hash {
            Some(_) => self.shared(&Bytes::copy_from_slice(bytes)),
            None => {
                self.keep(bytes);
                Ok(())
            }
        }
    }

    fn shared(&mut self, bytes: &Bytes) -> Result<(), OutputError> {
        self.keep(bytes);
        if let Some(hash) = &self.hash {
            hash.send(bytes.clone()).unwrap();
        }
        Ok(())
    }

    fn zeros(&mut self, len: u64) -> Result<(), OutputError> {
        self.bytes(&vec![0; usize::try_from(len).unwrap()])
    }

    fn chunk(&mut self, chunk: &Chunk<'_>) -> Result<(), OutputError> {
        self.shared(&chunk.data)
    }
}

fn main() {
    let memory = Memory::new();
    let plan = plan();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut all_threads = vec![1, cores];
    all_threads.dedup();
    let only = std::env::args().skip(1).find(|word| !word.starts_with('-'));
    let compressions: Vec<_> = [
        aff4::Compression::Snappy,
        aff4::Compression::Lz4,
        aff4::Compression::Zlib,
        aff4::Compression::None,
    ]
    .into_iter()
    .filter(|compression| {
        only.as_ref()
            .is_none_or(|only| *only == compression.to_string())
    })
    .collect();
    let raw = || raw::Writer::new(&plan, raw::Layout::Concatenated);
    let aff4 = |options| aff4::Writer::new(&plan, options).unwrap();
    for &threads in &all_threads {
        let of_raw = best(|| drop(write(&memory, raw(), threads, Hashes::All, false)));
        tell(&format!("write raw, {threads} threads"), of_raw.0, None);
        for &compression in &compressions {
            let name = format!("write {compression}, {threads} threads");
            // In turns, so that whatever else the machine does slows all of them down.
            let [whole, codec, falling_behind, unhashed] = best_of([
                &mut || {
                    let writer = aff4(options(compression));
                    drop(write(&memory, writer, threads, Hashes::All, false));
                },
                &mut || encode(&memory, &aff4(bare(compression)), threads),
                &mut || {
                    let writer = aff4(options(compression));
                    drop(write(&memory, writer, threads, Hashes::ButTheFiles, false));
                },
                &mut || {
                    let writer = aff4(bare(compression));
                    drop(write(&memory, writer, threads, Hashes::None, false));
                },
            ]);
            tell(&format!("{name} to raw"), whole.0, Some(of_raw.0));
            for (job, speed) in [
                ("", whole),
                (", no file hash", falling_behind),
                (", no hashes", unhashed),
            ] {
                tell(&format!("{name}{job}, to codec"), speed.0, Some(codec.0));
                let name = format!("{name}{job}, to codec, processor time");
                tell(&name, speed.1, Some(codec.1));
            }
        }
    }
    let image = write(&memory, raw(), cores, Hashes::None, true);
    let raw: Arc<dyn ImageReader> = Arc::new(
        raw::Reader::new(Arc::new(image), plan.ranges(), raw::Layout::Concatenated).unwrap(),
    );
    let images: Vec<(aff4::Compression, Arc<Vec<u8>>)> = compressions
        .iter()
        .map(|&compression| {
            let writer = aff4(options(compression));
            let image = write(&memory, writer, cores, Hashes::None, true);
            (compression, Arc::new(image))
        })
        .collect();
    for &threads in &all_threads {
        let of_raw = best(|| read(&*raw, threads));
        tell(&format!("read raw, {threads} threads"), of_raw.0, None);
        for (compression, bytes) in &images {
            let of_aff4 = best(|| {
                // A new reader each time, since it caches chunks.
                let source: Arc<dyn ReadAt> = Arc::new(Shared(Arc::clone(bytes)));
                let reader = aff4::Reader::open(vec![source]).unwrap();
                read(&reader, threads);
            });
            let name = format!("read {compression}, {threads} threads to raw");
            tell(&name, of_aff4.0, Some(of_raw.0));
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
    let baseline = baseline.map_or_else(|| "null".to_owned(), |value| value.to_string());
    println!(r#"{{"name":"{name}","value":{value},"baseline":{baseline}}}"#);
}

/// MiB of memory per second, and per second of processor time.
type Speed = (f64, f64);

/// The best of several rounds.
fn best(mut round: impl FnMut()) -> Speed {
    let [best] = best_of([&mut round]);
    best
}

/// The best of several rounds of each, run in turns.
fn best_of<const N: usize>(mut jobs: [&mut dyn FnMut(); N]) -> [Speed; N] {
    let mut best = [(f64::MAX, f64::MAX); N];
    for _ in 0..ROUNDS {
        for (job, best) in jobs.iter_mut().zip(&mut best) {
            let (begun, spent) = (Instant::now(), processor_s());
            job();
            best.0 = best.0.min(begun.elapsed().as_secs_f64());
            best.1 = best.1.min(processor_s() - spent);
        }
    }
    let mib = f64::from(u32::try_from(BYTES >> 20).unwrap());
    best.map(|(wall, processor)| (mib / wall, mib / processor))
}

/// Processor time of this process so far.
fn processor_s() -> f64 {
    // Ticks of 10 ms in the 14th and 15th field; the second may contain anything.
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let ticks = fields.split_whitespace().skip(11).take(2);
    ticks
        .map(|ticks| ticks.parse::<f64>().unwrap())
        .sum::<f64>()
        / 100.0
}

/// What is hashed besides what the format itself hashes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Hashes {
    /// Each chunk and the file, as linpmem-dump does.
    All,
    /// Each chunk: the file's hash may fall behind.
    ButTheFiles,
    None,
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
    let clock = aff4::Clock::new(|| "2025-01-31T12:00:00Z".to_owned());
    aff4::Options {
        compression,
        chunks_in_segment: CHUNKS_IN_SEGMENT,
        sha256: |blocks| Backend::best().digests(blocks),
        ..aff4::Options::new(urns, clock, "bench")
    }
}

/// Without hashes.
fn bare(compression: aff4::Compression) -> aff4::Options {
    aff4::Options {
        block_hashes: Vec::new(),
        linear_hashes: Vec::new(),
        ..options(compression)
    }
}

/// Only the compression of every block that is not zero.
fn encode(memory: &Memory, writer: &aff4::Writer, threads: usize) {
    let encoder = writer.encoder().unwrap();
    let next = AtomicUsize::new(0);
    scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut frame = Vec::new();
                loop {
                    let from = next.fetch_add(PIECE, Ordering::Relaxed);
                    let Some(piece) = memory.0.get(from..from + PIECE) else {
                        break;
                    };
                    let start = PhysAddr::new(usize_as_u64(from));
                    encoder.encode(start, piece, &mut frame);
                    std::hint::black_box(&frame);
                }
            });
        }
    });
}

/// A frame whose buffer goes back to its worker, as linpmem-dump's do.
struct Recycled {
    frame: Vec<u8>,
    back: Sender<Vec<u8>>,
}

impl AsRef<[u8]> for Recycled {
    fn as_ref(&self) -> &[u8] {
        &self.frame
    }
}

impl Drop for Recycled {
    fn drop(&mut self) {
        // The worker may have ended.
        let _ = self.back.send(std::mem::take(&mut self.frame));
    }
}

/// Writes an image with several workers. With any `hashes`, as linpmem-dump acquires: chunks
/// are copied as if they were read.
fn write(
    memory: &Memory,
    mut writer: impl ImageWriter,
    threads: usize,
    hashes: Hashes,
    keep: bool,
) -> Vec<u8> {
    let encoder = writer.encoder();
    scope(|scope| {
        let mut out = Output {
            kept: keep.then(Vec::new),
            position: 0,
            hash: (hashes == Hashes::All).then(|| hash(scope)),
        };
        writer.begin(&mut out).unwrap();
        // One lane per worker: taking from each in turn keeps the order.
        let lanes: Vec<Receiver<Chunk<'static>>> = (0..threads)
            .map(|number| {
                let (done, ready) = sync_channel(2);
                let (back, spare) = channel::<Vec<u8>>();
                let encoder = encoder.clone();
                scope.spawn(move || {
                    let places: Vec<usize> =
                        (number * PIECE..BYTES).step_by(threads * PIECE).collect();
                    for group in places.chunks(Backend::best().lanes()) {
                        let mut pieces: Vec<Bytes> = group
                            .iter()
                            .map(|&from| memory.0.slice(from..from + PIECE))
                            .collect();
                        if hashes != Hashes::None {
                            for piece in &mut pieces {
                                *piece = Bytes::copy_from_slice(piece);
                            }
                            std::hint::black_box(Backend::best().digests(&pieces));
                        }
                        for (&from, data) in group.iter().zip(pieces) {
                            let start = PhysAddr::new(usize_as_u64(from));
                            let mut chunk = if hashes == Hashes::None {
                                let zeros = ZeroBlocks::of(b"x");
                                let frame = None;
                                Chunk {
                                    start,
                                    data,
                                    zeros,
                                    frame,
                                    unreadable: &[],
                                }
                            } else {
                                Chunk::new(start, data, &[])
                            };
                            if let Some(encoder) = encoder.as_ref().filter(|_| !chunk.is_zero()) {
                                let mut frame = spare.try_recv().unwrap_or_default();
                                encoder.encode(start, &chunk.data, &mut frame);
                                let back = back.clone();
                                chunk.frame = Some(Bytes::from_owner(Recycled { frame, back }));
                            }
                            done.send(chunk).unwrap();
                        }
                    }
                });
                ready
            })
            .collect();
        for number in 0..BYTES / PIECE {
            let lane = &lanes[number % threads];
            writer.chunk(&lane.recv().unwrap(), &mut out).unwrap();
        }
        writer.finish(&mut out).unwrap();
        out.kept.unwrap_or_default()
    })
}

/// A thread that hashes the file.
fn hash<'scope>(scope: &'scope Scope<'scope, '_>) -> SyncSender<Bytes> {
    let (feed, pieces) = sync_channel::<Bytes>(4);
    scope.spawn(move || {
        let mut hasher = Sha256::new();
        pieces.iter().for_each(|piece| hasher.update(&piece));
        std::hint::black_box(hasher.finalize());
    });
    feed
}

fn read(image: &dyn ImageReader, threads: usize) {
    scope(|scope| {
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
