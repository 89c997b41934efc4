// SPDX-License-Identifier: MIT OR Apache-2.0
//! Any bytes as a volume, all hashes of which are checked, within the default budget.
#![no_main]

#[path = "allocations.rs"]
mod allocations;
#[path = "exercise.rs"]
mod exercise;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| exercise::exercise(data.to_vec()));
