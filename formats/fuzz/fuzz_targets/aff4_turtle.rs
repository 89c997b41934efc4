// SPDX-License-Identifier: MIT OR Apache-2.0
//! Any bytes as the description of a volume with a map and a stream.
#![no_main]

#[path = "exercise.rs"]
mod exercise;
#[path = "../../tests/it/aff4_volume.rs"]
#[allow(dead_code)]
mod volume;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let volume = volume::Volume::new("aff4://v")
        .member("map/map", &[0; 28])
        .member("map/idx", b"aff4://v/stream\n")
        .member("stream/00000000", &[7; 4096])
        .member("stream/00000000.index", &[0, 0, 0, 0, 0, 0, 0, 0, 0, 16, 0, 0])
        .member("information.turtle", data);
    exercise::exercise(volume.close());
});
