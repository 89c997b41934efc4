// SPDX-License-Identifier: MIT OR Apache-2.0
//! Any bytes as a map.
#![no_main]

#[path = "exercise.rs"]
mod exercise;
#[path = "../../tests/it/aff4_volume.rs"]
#[allow(dead_code)]
mod volume;

use libfuzzer_sys::fuzz_target;

const TURTLE: &str = "<aff4://v/map> a aff4:Map ; aff4:size 1048576 .\n    <aff4://v/old> a aff4:map .\n    <aff4://v/image> a aff4:MemoryImage ; aff4:dataStream <aff4://v/map> , <aff4://v/old> .\n    <aff4://v/stream> a aff4:ImageStream ; aff4:chunkSize 4096 ; aff4:size 4096 .\n";

fuzz_target!(|data: &[u8]| {
    let idx = b"aff4://v/stream\nhttp://aff4.org/Schema#UnreadableData\naff4://v/map\n                http://aff4.org/Schema#UnknownData\naff4://v/missing\n";
    let (first, second) = data.split_at(data.len() / 56 * 28);
    let volume = volume::Volume::new("aff4://v")
        .member("map/map", first)
        .member("map/idx", idx)
        .member("old/map", second)
        .member("old/idx", idx)
        .member("stream/00000000", &[7; 4096])
        .member("stream/00000000.index", &[0, 0, 0, 0, 0, 0, 0, 0, 0, 16, 0, 0]);
    exercise::exercise(volume.finish(TURTLE));
});
