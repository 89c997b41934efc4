// SPDX-License-Identifier: MIT OR Apache-2.0
//! The guest's init, built.

use std::env;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;

use anyhow::{Context, Result, bail};

use crate::checkout;

const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Builds the static init if it is not up to date. Returns its path.
///
/// # Errors
/// When cargo fails; what it said is in the error.
pub fn build() -> Result<PathBuf> {
    // Tests of one process ask at the same time; once is enough.
    static BUILT: Mutex<Option<PathBuf>> = Mutex::new(None);
    let mut built = BUILT
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(path) = built.as_ref() {
        return Ok(path.clone());
    }
    // A folder of its own: other flags than those of the workspace.
    let folder = checkout::target_dir().join("guest");
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .current_dir(checkout::dir())
        .args(["build", "--release", "--quiet", "-p", "linpmem-guest"])
        .args(["--bin", "linpmem-guest", "--target", TARGET])
        .args(["--config", "profile.release.opt-level=\"s\""])
        .arg("--target-dir")
        .arg(&folder)
        .env("RUSTFLAGS", "-C target-feature=+crt-static")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .output()
        .context("running cargo")?;
    if !output.status.success() {
        bail!(
            "the guest's init does not build:\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let path = folder.join(TARGET).join("release/linpmem-guest");
    *built = Some(path.clone());
    Ok(path)
}
