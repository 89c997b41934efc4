// SPDX-License-Identifier: MIT OR Apache-2.0
//! Any bytes as the file of a kernel module.
#![no_main]

#[path = "../../../formats/fuzz/fuzz_targets/allocations.rs"]
mod allocations;
#[path = "../../src/module/file.rs"]
mod file;

use file::ModuleFile;
use libfuzzer_sys::fuzz_target;
use std::cell::RefCell;
use std::fs::File;
use std::io::{Seek, Write};

thread_local! {
    static FILE: RefCell<File> = RefCell::new(tempfile::tempfile().expect("a temporary file"));
}

fuzz_target!(|data: &[u8]| {
    let module = FILE.with_borrow_mut(|file| {
        file.set_len(0)
            .and_then(|()| file.rewind())
            .expect("an empty file");
        file.write_all(data)
            .and_then(|()| file.rewind())
            .expect("room for a file");
        ModuleFile::read(file).expect("fewer than 64 MiB")
    });
    assert!(module.bytes() == data);
    look(&module);
    if let Ok(unpacked) = module.unpacked() {
        assert!(module.packing().is_some() && unpacked.bytes().len() <= 64 << 20);
        look(&unpacked);
    }
});

/// What errors and the choice of a device say about a module.
fn look(module: &ModuleFile) {
    if let Some(release) = module.release() {
        assert!(!release.contains([' ', '\0']));
    }
    let _ = module.has_parameter("major");
}
