// SPDX-License-Identifier: MIT OR Apache-2.0
//! Makes the program small that is carried to a machine: released, and static.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=no_unwinding.ld");
    let is = |variable: &str, value: &str| env::var(variable).is_ok_and(|found| found == value);
    let features = env::var("CARGO_CFG_TARGET_FEATURE").unwrap_or_default();
    let is_static = features.split(',').any(|feature| feature == "crt-static");
    if !is("PROFILE", "release") || !is_static || !is("CARGO_CFG_TARGET_OS", "linux") {
        return;
    }
    // Cargo leaves the symbols in programs of packages that have an opt-level of their own.
    println!("cargo::rustc-link-arg-bins=-Wl,--strip-all");
    if is("CARGO_CFG_TARGET_ARCH", "x86_64") {
        // A program that is loaded anywhere has thousands of addresses to be adjusted: a bit is
        // enough for each. Not every linker for arm64 knows how.
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
    // The script knows the unwinder of GNU's compiler. LLD can leave out all tables or none.
    if is("CARGO_CFG_TARGET_ARCH", "x86_64") && is("CARGO_CFG_TARGET_ENV", "gnu") {
        if let Ok(folder) = env::var("CARGO_MANIFEST_DIR") {
            println!("cargo::rustc-link-arg-bins=-fuse-ld=bfd");
            println!("cargo::rustc-link-arg-bins=-T{folder}/no_unwinding.ld");
        }
    }
}
