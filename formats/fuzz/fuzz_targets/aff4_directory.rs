// SPDX-License-Identifier: MIT OR Apache-2.0
//! Any bytes as an archive, whole or unfinished.
#![no_main]

#[path = "exercise.rs"]
mod exercise;

use libfuzzer_sys::fuzz_target;
use linpmem_formats::{Chunk, ImageOutput, OutputError, aff4};

/// Takes everything and keeps nothing but the count.
struct Nowhere(u64);

impl ImageOutput for Nowhere {
    fn position(&self) -> u64 {
        self.0
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<(), OutputError> {
        self.0 += bytes.len() as u64;
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

fuzz_target!(|data: &[u8]| {
    let _ = aff4::recover(&data, &mut Nowhere(0));
    exercise::exercise(data.to_vec());
});
