// SPDX-License-Identifier: MIT OR Apache-2.0
//! Makes the program small that is carried to a machine: released, static, for x86-64.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let is = |variable: &str, value: &str| env::var(variable).is_ok_and(|found| found == value);
    let features = env::var("CARGO_CFG_TARGET_FEATURE").unwrap_or_default();
    let is_static = features.split(',').any(|feature| feature == "crt-static");
    let is_carried = is("PROFILE", "release") && is_static;
    if !is_carried || !is("CARGO_CFG_TARGET_ARCH", "x86_64") || !is("CARGO_CFG_TARGET_OS", "linux")
    {
        return;
    }
    // A program that is loaded anywhere has thousands of addresses to be adjusted: a bit is
    // enough for each.
    println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
}
