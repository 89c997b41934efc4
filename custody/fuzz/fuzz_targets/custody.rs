// SPDX-License-Identifier: MIT OR Apache-2.0
//! Any bytes as events: what is wrong with one shows, and what is not is followed.
#![no_main]

#[path = "../../../formats/fuzz/fuzz_targets/allocations.rs"]
mod allocations;

use libfuzzer_sys::fuzz_target;
use linpmem_custody::chain::Chain;
use linpmem_custody::digest::sha256_of;
use linpmem_manifest::Sha256Sum;
use std::path::Path;

const MANIFEST: Sha256Sum = Sha256Sum::new([9; 32]);

fuzz_target!(|data: &[u8]| {
    let (chain, broken) = Chain::parse(data, Path::new("custody"), MANIFEST);
    let lines = data.split_inclusive(|&byte| byte == b'\n');
    if broken.is_none() {
        assert_eq!(chain.entries.len(), lines.clone().count());
    }
    let mut follows = MANIFEST;
    for (line, entry) in lines.zip(&chain.entries) {
        assert_eq!(entry.previous, follows);
        follows = sha256_of(line).expect("a slice is read");
    }
    assert_eq!(chain.head, follows);
});
