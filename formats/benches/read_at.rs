// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reading a stored image by pread, which `FileSource` does, compared with copying out of a
//! memory map. Prints a JSON object per line: name, value and baseline in MiB per second of
//! processor time.
//!
//! The file is in the page cache, and each round maps it anew, as a program that opens an
//! image does. LINPMEM_BENCH_FILE names one; otherwise the benchmark writes 256 MiB.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a benchmark that fails may panic"
)]

use linpmem_formats::{FileSource, ReadAt};
use memmap2::Mmap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

const ROUNDS: usize = 5;
const FILE_BYTES: usize = 256 << 20;
/// Sizes of reads, and how many of them make a round.
const SIZES: [(usize, usize); 5] = [
    (8, 400_000),
    (4 << 10, 65_536),
    (32 << 10, 8192),
    (256 << 10, 1024),
    (1 << 20, 256),
];

fn main() {
    let folder = tempfile::tempdir().unwrap();
    let path = match std::env::var_os("LINPMEM_BENCH_FILE") {
        Some(path) => PathBuf::from(path),
        None => made_up(folder.path()),
    };
    let len = path.metadata().unwrap().len();
    let len = usize::try_from(len).unwrap();
    assert!(len >= 1 << 20, "a larger file is needed");
    for (size, count) in SIZES {
        for (pattern, is_random) in [("in order", false), ("at random", true)] {
            let mut best = [f64::MAX; 2];
            for _ in 0..ROUNDS {
                best[0] = best[0].min(mapped(&path, len, size, count, is_random));
                best[1] = best[1].min(by_pread(&path, len, size, count, is_random));
            }
            let [mapped, by_pread] = best.map(|seconds| {
                let kib = u32::try_from((count * size) >> 10).unwrap();
                f64::from(kib) / 1024.0 / seconds
            });
            println!(
                r#"{{"name":"memmap2 to pread, {size} bytes {pattern}","value":{mapped},"baseline":{by_pread}}}"#
            );
        }
    }
}

fn made_up(folder: &Path) -> PathBuf {
    let path = folder.join("image");
    let mut file = File::create(&path).unwrap();
    let bytes: Vec<u8> = (0..1 << 20).map(|n: u32| n.to_le_bytes()[1]).collect();
    for _ in 0..FILE_BYTES >> 20 {
        file.write_all(&bytes).unwrap();
    }
    path
}

/// The offsets of a round.
fn offsets(len: usize, size: usize, count: usize, is_random: bool) -> impl Iterator<Item = usize> {
    let places = len / size;
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    (0..count).map(move |number| {
        let place = if is_random {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state >> 1).unwrap()
        } else {
            number
        };
        place % places * size
    })
}

fn mapped(path: &Path, len: usize, size: usize, count: usize, is_random: bool) -> f64 {
    let mut buf = vec![0; size];
    let begun = Time::now();
    let file = File::open(path).unwrap();
    // SAFETY: nothing else knows the file, or changes it while this runs.
    let map = unsafe { Mmap::map(&file).unwrap() };
    for offset in offsets(len, size, count, is_random) {
        buf.copy_from_slice(&map[offset..offset + size]);
        std::hint::black_box(&buf);
    }
    drop(map);
    begun.seconds()
}

fn by_pread(path: &Path, len: usize, size: usize, count: usize, is_random: bool) -> f64 {
    let mut buf = vec![0; size];
    let begun = Time::now();
    let file = FileSource::open(path).unwrap();
    for offset in offsets(len, size, count, is_random) {
        let offset = u64::try_from(offset).unwrap();
        file.read_exact_at(offset, &mut buf).unwrap();
        std::hint::black_box(&buf);
    }
    begun.seconds()
}

/// The processor time of this thread, or the time that passed if the kernel does not tell.
struct Time(Instant, Option<u64>);

impl Time {
    fn now() -> Self {
        Self(Instant::now(), running_ns())
    }

    fn seconds(&self) -> f64 {
        match (self.1, running_ns()) {
            (Some(begun), Some(now)) => std::time::Duration::from_nanos(now - begun).as_secs_f64(),
            _ => self.0.elapsed().as_secs_f64(),
        }
    }
}

/// Nanoseconds for which this thread has run.
fn running_ns() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split(' ').next()?.parse().ok()
}
