// SPDX-License-Identifier: MIT OR Apache-2.0
//! Builds of programs for the guest, small and static.

use crate::arch::Arch;
use crate::cross;
use anyhow::{Context, Result, bail};
use std::path::PathBuf;
use std::sync::Mutex;

/// Builds the binary of the workspace's `package`, unless it is up to date. Returns its
/// path.
///
/// # Errors
/// When cargo fails; the error has its messages.
pub fn build(package: &str) -> Result<PathBuf> {
    build_for(Arch::HOST, package)
}

/// The same for a guest of another architecture.
///
/// # Errors
/// As [`build`].
pub fn build_for(arch: Arch, package: &str) -> Result<PathBuf> {
    build_target(arch, package, "--bin", package)
}

/// Builds the program `name` of the workspace's `package` for a guest of an architecture.
/// Returns its path.
///
/// # Errors
/// As [`build`].
pub fn build_program_for(arch: Arch, package: &str, name: &str) -> Result<PathBuf> {
    build_target(arch, package, "--bin", name)
}

/// Builds an example of the workspace's `package`. Returns its path.
///
/// # Errors
/// As [`build`].
pub fn build_example(package: &str, name: &str) -> Result<PathBuf> {
    build_target(Arch::HOST, package, "--example", name)
}

fn build_target(arch: Arch, package: &str, kind: &str, name: &str) -> Result<PathBuf> {
    // The tests of a process ask for the same programs at the same time.
    static BUILT: Mutex<Vec<(Arch, String, PathBuf)>> = Mutex::new(Vec::new());
    let mut built = BUILT
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let same = |(of, built, _): &&(Arch, String, PathBuf)| *of == arch && built == name;
    if let Some((.., path)) = built.iter().find(same) {
        return Ok(path.clone());
    }
    // A folder of its own, as the flags are not the workspace's.
    let folder = cross::target_dir(arch).join("guest");
    let target = arch.target();
    let output = cross::cargo(arch)?
        .args(["build", "--release", "--quiet", "-p", package])
        .args([kind, name, "--target", target])
        .args(["--config", "profile.release.opt-level=\"s\""])
        .arg("--target-dir")
        .arg(&folder)
        .env("RUSTFLAGS", "-C target-feature=+crt-static")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .output()
        .context("starting cargo")?;
    if !output.status.success() {
        bail!(
            "{package} cannot be built for the guest:\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let mut path = folder.join(target).join("release");
    if kind == "--example" {
        path.push("examples");
    }
    path.push(name);
    built.push((arch, name.to_owned(), path.clone()));
    Ok(path)
}
