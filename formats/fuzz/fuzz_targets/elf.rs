// SPDX-License-Identifier: MIT OR Apache-2.0
//! Any bytes as an ELF core.
#![no_main]

mod image;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| image::read([b"\x7fELF\x02\x01\x01", data].concat()));
