// SPDX-License-Identifier: MIT OR Apache-2.0
//! Any bytes as a bundle of signed requests, and as the address of a store.
#![no_main]

#[path = "../../../formats/fuzz/fuzz_targets/allocations.rs"]
mod allocations;

use libfuzzer_sys::fuzz_target;
use linpmem_capture::Location;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    for location in [
        Location::of_bundle(text).ok(),
        text.parse::<Location>().ok(),
    ]
    .into_iter()
    .flatten()
    {
        let shown = location.to_string();
        assert!(!shown.chars().any(char::is_control), "{shown:?}");
        let _ = location.key("a");
    }
});
