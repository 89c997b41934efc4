// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sets `avx512` where the compiler knows these instructions: since Rust 1.89, and the
//! workspace builds with older ones.

use std::env;
use std::process::Command;

/// The first minor version of Rust 1 with AVX-512.
const FIRST: u32 = 89;

fn main() {
    println!("cargo::rustc-check-cfg=cfg(avx512)");
    println!("cargo::rerun-if-changed=build.rs");
    let is_x86_64 = env::var("CARGO_CFG_TARGET_ARCH").is_ok_and(|arch| arch == "x86_64");
    if is_x86_64 && minor_version().is_some_and(|minor| minor >= FIRST) {
        println!("cargo::rustc-cfg=avx512");
    }
}

/// 95 of `rustc 1.95.0 (59807616e 2026-04-14)`.
fn minor_version() -> Option<u32> {
    let output = Command::new(env::var_os("RUSTC")?)
        .arg("--version")
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.strip_prefix("rustc 1.")?
        .split('.')
        .next()?
        .parse()
        .ok()
}
