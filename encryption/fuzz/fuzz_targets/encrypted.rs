// SPDX-License-Identifier: MIT OR Apache-2.0
//! Any bytes as an encrypted file: what opens can be read or is damaged, at every offset, and is
//! the same whichever way it is read.
#![no_main]

#[path = "../../../formats/fuzz/fuzz_targets/allocations.rs"]
mod allocations;

use libfuzzer_sys::fuzz_target;
use linpmem_encryption::{EncryptedFile, Identities, detect};
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::LazyLock;

/// The private key of the seeds.
static KEY: LazyLock<Identities> = LazyLock::new(|| {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/key.txt");
    Identities::read(&[Path::new(path)]).expect("the key of the seeds")
});

/// Few enough for every input to be fast.
const MOST_BYTES: u64 = 1 << 20;

fuzz_target!(|data: &[u8]| {
    let _ = detect(data);
    let descriptor = rustix::fs::memfd_create("fuzz", rustix::fs::MemfdFlags::CLOEXEC);
    let mut file = File::from(descriptor.expect("memory"));
    file.write_all(data).expect("memory");
    let Ok(found) = EncryptedFile::open(file, &KEY) else {
        return;
    };
    let len = found.len().min(MOST_BYTES);
    let mut whole = vec![0; usize::try_from(len).expect("a small number")];
    let read = found.read_exact_at(0, &mut whole);
    let mut last = [0];
    let Some(end) = found.len().checked_sub(1) else {
        return;
    };
    if found.read_exact_at(end, &mut last).is_ok() && read.is_ok() && len == found.len() {
        assert_eq!(whole.last(), last.first());
    }
    assert!(found.read_exact_at(end, &mut [0, 0]).is_err());
});
