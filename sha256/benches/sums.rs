// SPDX-License-Identifier: MIT OR Apache-2.0
//! Chunk sums on one processor, in every way that it has. Prints a JSON object per line:
//! name and value in MiB/s. `cargo xtask bench sums` adds what to compare them with.

#![allow(clippy::unwrap_used, reason = "a benchmark that fails may panic")]

use linpmem_sha256::Backend;
use std::hint::black_box;
use std::time::Instant;

const CHUNK_BYTES: usize = 1 << 20;
const CHUNKS: u32 = 16;
const ROUNDS: usize = 12;

fn main() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut chunks = vec![vec![0_u8; CHUNK_BYTES]; usize::try_from(CHUNKS).unwrap()];
    for word in chunks
        .iter_mut()
        .flat_map(|chunk| chunk.chunks_exact_mut(8))
    {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        word.copy_from_slice(&state.to_le_bytes());
    }
    for backend in Backend::all() {
        let best = (0..ROUNDS).map(|_| {
            let begun = Instant::now();
            black_box(backend.digests(black_box(&chunks)));
            begun.elapsed().as_secs_f64()
        });
        let speed = f64::from(CHUNKS) / best.fold(f64::INFINITY, f64::min);
        println!(
            "{{\"name\": \"{}\", \"value\": {speed:.1}}}",
            backend.name()
        );
    }
}
