// SPDX-License-Identifier: MIT OR Apache-2.0
//! Gives the shared library the name under which programs ask for it.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,liblinpmem.so.0");
}
