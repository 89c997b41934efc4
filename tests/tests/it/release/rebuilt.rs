// SPDX-License-Identifier: MIT OR Apache-2.0
//! The same commit, built again in other folders.

use super::files::{made, output, same};
use anyhow::{Context, Result, ensure};
use linpmem_testkit::checkout;
use std::env;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;

/// Checkout, target folder and cargo's home are elsewhere, and their names are longer.
#[test]
fn every_byte_is_the_same() -> Result<()> {
    let changes = Command::new("git")
        .current_dir(checkout::dir())
        .args(["status", "--porcelain"])
        .output()?;
    ensure!(
        changes.stdout.is_empty(),
        "commit first: what is in no commit cannot be built elsewhere"
    );
    // Beside the target folder: the temporary folder may be small.
    let work = tempfile::tempdir_in(checkout::target_dir())?;
    let clone = work.path().join("another-place/for-the-sources");
    output(
        Command::new("git")
            .arg("clone")
            .arg("--quiet")
            .arg(checkout::dir())
            .arg(&clone),
    )?;
    let home = work.path().join("cargo-home");
    fs::create_dir_all(&home)?;
    let own = env::var_os("CARGO_HOME").map(PathBuf::from);
    let own = own.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cargo")));
    symlink(
        own.context("no HOME")?.join("registry"),
        home.join("registry"),
    )?;

    let folder = work.path().join("files");
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["xtask", "release", "--output"]).arg(&folder);
    cargo
        .current_dir(&clone)
        .env("CARGO_HOME", &home)
        .env("CARGO_TARGET_DIR", work.path().join("built/somewhere/else"));
    output(&mut cargo)?;
    same(&made()?, &folder, &[])
}
