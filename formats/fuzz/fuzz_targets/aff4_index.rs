// SPDX-License-Identifier: MIT OR Apache-2.0
//! Any bytes as the index of a segment, as in the standard and as before it.
#![no_main]

#[path = "exercise.rs"]
mod exercise;
#[path = "../../tests/it/aff4_volume.rs"]
#[allow(dead_code)]
mod volume;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((&kind, index)) = data.split_first() else {
        return;
    };
    let name = if kind & 1 == 0 {
        "stream/00000000.index"
    } else {
        "stream/00000000/index"
    };
    let volume = volume::Volume::new("aff4://v")
        .member("stream/00000000", &[7; 10_000])
        .member("stream/00000000.blockHash.md5", &[0; 64])
        .member(name, index);
    let method = if kind & 2 == 0 {
        "aff4:NullCompressor"
    } else {
        "<http://code.google.com/p/snappy/>"
    };
    exercise::exercise(volume.finish(&format!(
        "<aff4://v/stream> a aff4:ImageStream ; aff4:chunkSize 4096 ; aff4:chunksInSegment 4 ; aff4:size 40000 ; aff4:compressionMethod {method} ."
    )));
});
