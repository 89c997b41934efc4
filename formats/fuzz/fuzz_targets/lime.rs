// SPDX-License-Identifier: MIT OR Apache-2.0
//! Any bytes as LiME records.
#![no_main]

mod image;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| image::read([b"EMiL\x01\0\0\0", data].concat()));
