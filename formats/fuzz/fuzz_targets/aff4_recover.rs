// SPDX-License-Identifier: MIT OR Apache-2.0
//! Any bytes as an unfinished volume. What is recovered opens, or is refused.
#![no_main]

#[path = "allocations.rs"]
mod allocations;
#[path = "exercise.rs"]
mod exercise;

use libfuzzer_sys::fuzz_target;
use linpmem_formats::{StreamOutput, aff4};

fuzz_target!(|data: &[u8]| {
    let mut out = StreamOutput::new(Vec::new());
    if aff4::recover(&data.to_vec(), &mut out).is_ok() {
        exercise::exercise(out.into_inner());
    }
});
