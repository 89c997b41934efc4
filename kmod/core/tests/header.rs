// SPDX-License-Identifier: MIT OR Apache-2.0
//! The C header and the Rust ABI say the same: the C compiler is asked.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test")]

use linpmem_core::abi::{self, Info};
use std::fmt::Write as _;
use std::mem::{offset_of, size_of};
use std::process::Command;

/// C source that does not compile unless each expression has its value.
fn assertions(facts: &[(&str, u64)]) -> String {
    let mut source = String::from("#include <stddef.h>\n#include <linpmem.h>\n");
    for (expression, value) in facts {
        writeln!(
            source,
            "_Static_assert(({expression}) == {value}ULL, \"{expression}\");"
        )
        .unwrap();
    }
    source
}

/// Whether the C compiler takes `source`, and what it said.
fn compiles(name: &str, source: &str) -> (bool, String) {
    let path = std::env::temp_dir().join(format!("linpmem-{name}-{}.c", std::process::id()));
    std::fs::write(&path, source).unwrap();
    let include = concat!(env!("CARGO_MANIFEST_DIR"), "/../include");
    let output = Command::new("cc")
        .args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-fsyntax-only"])
        .args(["-I", include])
        .arg(&path)
        .output()
        .expect("a C compiler (Debian: gcc), which cargo needs too");
    std::fs::remove_file(&path).unwrap();
    (
        output.status.success(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

macro_rules! layout {
    ($rust:ty, $c:literal, $($field:ident),+) => {
        vec![
            (concat!("sizeof(struct ", $c, ")"), size_of::<$rust>().try_into().unwrap()),
            $((
                concat!("offsetof(struct ", $c, ", ", stringify!($field), ")"),
                offset_of!($rust, $field).try_into().unwrap(),
            )),+
        ]
    };
}

#[test]
fn the_c_header_agrees() {
    let mut facts: Vec<(&str, u64)> = layout!(
        Info,
        "linpmem_info",
        size,
        abi_version,
        features,
        module_version,
        phys_bits,
        paging_levels,
        reserved,
        page_offset_base,
        phys_base,
        kaslr_offset,
        kernel_page_table,
        vmcoreinfo_addr,
        vmcoreinfo_len,
        encryption_mask
    );
    facts.extend([
        ("LINPMEM_IOCTL_INFO", u64::from(abi::IOCTL_INFO)),
        ("LINPMEM_ABI_VERSION", u64::from(abi::ABI_VERSION)),
        ("LINPMEM_FEATURE_READ", abi::FEATURE_READ),
        ("LINPMEM_UNKNOWN", abi::UNKNOWN),
    ]);
    let (agrees, said) = compiles("header", &assertions(&facts));
    assert!(agrees, "{said}");
}

#[test]
fn a_difference_would_be_noticed() {
    let (agrees, _) = compiles("header-lie", &assertions(&[("LINPMEM_ABI_VERSION", 2)]));
    assert!(!agrees);
}
