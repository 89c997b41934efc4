// SPDX-License-Identifier: MIT OR Apache-2.0
//! Any bytes in place of one file of a kernel, or of the prebuilt module: a module or an
//! error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use linpmem_fit::{Sources, fit};
use std::cell::OnceCell;
use std::fs;
use tempfile::TempDir;

/// A kernel's files and a prebuilt module that fit each other; the first byte of each is
/// its number.
const FILES: [(&str, &[u8]); 6] = [
    ("object", include_bytes!("../seeds/fit/object")),
    ("btf", include_bytes!("../seeds/fit/btf")),
    ("vmlinux", include_bytes!("../seeds/fit/vmlinux")),
    ("modules/sample.ko", include_bytes!("../seeds/fit/sample")),
    ("Module.symvers", include_bytes!("../seeds/fit/symvers")),
    ("config", include_bytes!("../seeds/fit/config")),
];

thread_local! {
    static FOLDER: OnceCell<TempDir> = const { OnceCell::new() };
}

/// Files in memory, where there is such a place.
fn folder() -> TempDir {
    let memory = TempDir::new_in("/dev/shm").or_else(|_| TempDir::new());
    let folder = memory.expect("a folder for the files");
    fs::create_dir(folder.path().join("modules")).expect("a folder for modules");
    for (name, bytes) in FILES {
        fs::write(folder.path().join(name), &bytes[1..]).expect("a file");
    }
    folder
}

fuzz_target!(|data: &[u8]| {
    let Some((number, data)) = data.split_first() else {
        return;
    };
    let number = usize::from(*number);
    FOLDER.with(|known| {
        let folder = known.get_or_init(folder).path();
        let (name, whole) = FILES[number % FILES.len()];
        fs::write(folder.join(name), data).expect("a file");
        let object = match name {
            "object" => data,
            _ => &FILES[0].1[1..],
        };
        let at = |name: &str| folder.join(name);
        let mut sources = Sources::of_files()
            .kernel(&at("vmlinux"))
            .modules(&at("modules"))
            .config(&at("config"));
        // With and without the files that make the kernel needless.
        if name == "btf" || number & 0x40 != 0 {
            sources = sources.btf(&at("btf"));
        }
        if name == "Module.symvers" || number & 0x80 != 0 {
            sources = sources.symvers(&at("Module.symvers"));
        }
        if let Ok(fitted) = fit(object, &sources) {
            assert!(fitted.module.starts_with(b"\x7fELF"));
        }
        fs::write(folder.join(name), &whole[1..]).expect("a file");
    });
});
