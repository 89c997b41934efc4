// SPDX-License-Identifier: MIT OR Apache-2.0
//! Any bytes as frames of LZ4, Snappy or zstd.
#![no_main]

use libfuzzer_sys::fuzz_target;
use linpmem_formats::{ReadAt, frames};

const MAGICS: [&[u8]; 3] = [
    b"\x04\x22\x4d\x18",
    b"\xff\x06\x00\x00sNaPpY",
    b"\x28\xb5\x2f\xfd",
];

fuzz_target!(|data: &[u8]| {
    let Some((&first, rest)) = data.split_first() else {
        return;
    };
    let magic = MAGICS[usize::from(first) % MAGICS.len()];
    let Ok(reader) = frames::Reader::new([magic, rest].concat()) else {
        return;
    };
    let mut buf = [0; 4096];
    for offset in [0, reader.len() / 2, reader.len().saturating_sub(4096)] {
        let len = usize::try_from(reader.len() - offset)
            .unwrap_or(4096)
            .min(4096);
        // Damage must be an error and nothing worse.
        let _ = reader.read_exact_at(offset, &mut buf[..len]);
    }
});
