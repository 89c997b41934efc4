// SPDX-License-Identifier: MIT OR Apache-2.0
//! Any bytes as a chunk of each compression.
#![no_main]

#[path = "exercise.rs"]
mod exercise;
#[path = "../../tests/it/aff4_volume.rs"]
#[allow(dead_code)]
mod volume;

use libfuzzer_sys::fuzz_target;

const METHODS: [&str; 5] = [
    "http://code.google.com/p/snappy/",
    "https://code.google.com/p/lz4/",
    "https://www.ietf.org/rfc/rfc1950.txt",
    "https://tools.ietf.org/html/rfc1951",
    "http://aff4.org/Schema#NullCompressor",
];

fuzz_target!(|data: &[u8]| {
    let Some((&method, chunk)) = data.split_first() else {
        return;
    };
    let method = METHODS[usize::from(method) % METHODS.len()];
    let mut index = vec![0; 8];
    index.extend((chunk.len() as u32).to_le_bytes());
    let volume = volume::Volume::new("aff4://v")
        .member("stream/00000000", chunk)
        .member("stream/00000000.index", &index);
    exercise::exercise(volume.finish(&format!(
        "<aff4://v/stream> a aff4:ImageStream ; aff4:chunkSize 4096 ; aff4:chunksInSegment 4 ; aff4:size 4096 ; aff4:compressionMethod <{method}> ."
    )));
});
