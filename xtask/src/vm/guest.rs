// SPDX-License-Identifier: MIT OR Apache-2.0
//! Programs for the guest, built: small and static.

use std::env;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;

use anyhow::{Context, Result, bail};

use crate::checkout;

const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Builds the binary of the workspace's `package` if it is not up to date.
/// Returns its path.
///
/// # Errors
/// When cargo fails; what it said is in the error.
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
    // Tests of one process ask at the same time; once is enough.
    static BUILT: Mutex<Vec<(String, PathBuf)>> = Mutex::new(Vec::new());
    let mut built = BUILT
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some((_, path)) = built.iter().find(|(built, _)| built == name) {
        return Ok(path.clone());
    }
    // A folder of its own: other flags than those of the workspace.
    let folder = checkout::target_dir().join("guest");
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .current_dir(checkout::dir())
        .args(["build", "--release", "--quiet", "-p", package])
        .args([kind, name, "--target", TARGET])
        .args(["--config", "profile.release.opt-level=\"s\""])
        .arg("--target-dir")
        .arg(&folder)
        .env("RUSTFLAGS", "-C target-feature=+crt-static")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .output()
        .context("running cargo")?;
    if !output.status.success() {
        bail!(
            "{package} does not build for the guest:\n{}",
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
