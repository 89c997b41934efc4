// SPDX-License-Identifier: MIT OR Apache-2.0
//! The flags that make what is released the same bytes wherever it is built.

use anyhow::Result;
use linpmem_testkit::arch::Arch;
use linpmem_testkit::checkout;
use linpmem_testkit::cross;
use std::env;
use std::path::PathBuf;
use std::process::Command;

/// Between flags in `CARGO_ENCODED_RUSTFLAGS`, so that paths may have blanks.
const SEPARATOR: &str = "\x1f";

/// Has `cargo` compile without the names of this machine's folders, and with `more` flags.
pub(super) fn set(cargo: &mut Command, arch: Arch, more: &[&str]) -> Result<()> {
    let given = env::var("RUSTFLAGS").unwrap_or_default();
    let mut flags: Vec<String> = given.split_whitespace().map(str::to_owned).collect();
    // Of those that fit, the last one counts.
    let folders = folders(arch)?;
    let renamed = folders
        .iter()
        .map(|(folder, name)| format!("--remap-path-prefix={}={name}", folder.display()));
    flags.extend(renamed);
    flags.extend(more.iter().map(|flag| (*flag).to_owned()));
    cargo.env("CARGO_ENCODED_RUSTFLAGS", flags.join(SEPARATOR));
    cargo.env_remove("RUSTFLAGS");
    // The C code of dependencies: its assertions name their files.
    let renamed: Vec<String> = folders
        .iter()
        .map(|(folder, name)| format!("-ffile-prefix-map={}={name}", folder.display()))
        .collect();
    let variable = format!("CFLAGS_{}", arch.target().replace('-', "_"));
    cargo.env(variable, renamed.join(" "));
    Ok(())
}

/// The folders whose names would get into programs, with what stands for them.
fn folders(arch: Arch) -> Result<Vec<(PathBuf, &'static str)>> {
    Ok(vec![
        (checkout::dir(), "/linpmem"),
        (cross::target_dir(arch), "/target"),
        (cross::cargo_home()?, "/cargo"),
    ])
}
