// SPDX-License-Identifier: MIT OR Apache-2.0
//! Builds of programs for the guest, small and static.

use crate::checkout;
use anyhow::{Context, Result, bail};
use std::path::PathBuf;
use std::sync::Mutex;

const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Builds the binary of the workspace's `package`, unless it is up to date. Returns its
/// path.
///
/// # Errors
/// When cargo fails; the error has its messages.
pub fn build(package: &str) -> Result<PathBuf> {
    build_target(package, "--bin", package)
}

/// Builds an example of the workspace's `package`. Returns its path.
///
/// # Errors
/// As [`build`].
pub fn build_example(package: &str, name: &str) -> Result<PathBuf> {
    build_target(package, "--example", name)
}

fn build_target(package: &str, kind: &str, name: &str) -> Result<PathBuf> {
    // The tests of a process ask for the same programs at the same time.
    static BUILT: Mutex<Vec<(String, PathBuf)>> = Mutex::new(Vec::new());
    let mut built = BUILT
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some((_, path)) = built.iter().find(|(built, _)| built == name) {
        return Ok(path.clone());
    }
    // A folder of its own, as the flags are not the workspace's.
    let folder = checkout::target_dir().join("guest");
    let output = checkout::cargo()
        .args(["build", "--release", "--quiet", "-p", package])
        .args([kind, name, "--target", TARGET])
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
    let mut path = folder.join(TARGET).join("release");
    if kind == "--example" {
        path.push("examples");
    }
    path.push(name);
    built.push((name.to_owned(), path.clone()));
    Ok(path)
}
