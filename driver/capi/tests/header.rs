// SPDX-License-Identifier: MIT OR Apache-2.0
//! The header in the tree is what cbindgen generates. With LINPMEM_BLESS=1 it is
//! rewritten.

use std::fs;
use std::path::Path;

#[test]
fn the_header_is_what_the_crate_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = cbindgen::Config::from_file(folder.join("cbindgen.toml")).unwrap();
    let sources = ["message", "types", "device", "module"];
    let mut builder = cbindgen::Builder::new().with_config(config);
    for name in sources {
        builder = builder.with_src(folder.join(format!("src/{name}.rs")));
    }
    let mut made = Vec::new();
    builder.generate().unwrap().write(&mut made);
    let made = String::from_utf8(made).unwrap();

    let path = folder.join("include/linpmem.h");
    if std::env::var_os("LINPMEM_BLESS").is_some() {
        fs::write(&path, &made).unwrap();
    }
    let there = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        there == made,
        "{} is not what cbindgen makes: run this test with LINPMEM_BLESS=1",
        path.display()
    );
}
