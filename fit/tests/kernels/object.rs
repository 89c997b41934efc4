// SPDX-License-Identifier: MIT OR Apache-2.0
//! A prebuilt module for the tests, in C.

use linpmem_core::layout::Layout;
use std::path::Path;
use std::process::Command;

/// Where in the table of facts a field is.
pub fn index(field: &str) -> usize {
    let mut fields = Layout::FIELDS.iter();
    fields.position(|name| *name == field).unwrap()
}

/// Compiles `tests/data/module.c`.
pub fn compiled() -> Vec<u8> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/module.c");
    let folder = tempfile::tempdir().unwrap();
    let object = folder.path().join("module.o");
    let status = Command::new("cc")
        .args([
            "-c",
            "-O2",
            "-ffreestanding",
            "-fno-pic",
            "-fno-pie",
            "-mcmodel=kernel",
        ])
        .args([
            "-mno-red-zone",
            "-mno-sse",
            "-mno-mmx",
            "-fno-stack-protector",
        ])
        .args(["-fcf-protection=branch", "-mfunction-return=thunk-extern"])
        .args(["-fno-asynchronous-unwind-tables", "-Wall", "-Werror"])
        .arg(format!("-DWORDS={}", Layout::FIELDS.len()))
        .arg(format!("-DCURRENT={}", index("current_offset")))
        .arg(format!("-DPAGE_SIZE_AT={}", index("page_size")))
        .arg("-o")
        .arg(&object)
        .arg(source)
        .status()
        .expect("the tests need a C compiler");
    assert!(status.success());
    std::fs::read(object).unwrap()
}
