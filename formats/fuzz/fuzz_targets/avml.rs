// SPDX-License-Identifier: MIT OR Apache-2.0
//! Any bytes as AVML blocks.
#![no_main]

mod image;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| image::read([b"AVML\x02\0\0\0", data].concat()));
