// SPDX-License-Identifier: MIT OR Apache-2.0
//! The first inputs of the fuzz target are what it is about.

use linpmem_encryption::{EncryptedFile, Identities};
use std::fs::{self, File};
use std::path::Path;

#[test]
fn the_seeds_of_the_fuzz_target_open_with_its_key() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let key = Identities::read(&[fuzz.join("key.txt")]).unwrap();
    let mut whole = 0;
    for seed in fs::read_dir(fuzz.join("seeds/encrypted")).unwrap() {
        let path = seed.unwrap().path();
        let file = EncryptedFile::open(File::open(&path).unwrap(), &key).unwrap();
        whole += u32::from(!file.is_cut());
    }
    assert!(whole >= 2, "{whole}");
}
