// SPDX-License-Identifier: MIT OR Apache-2.0
//! The packages alone, unpacked where the workspace is not around them.

use super::published::{Package, packages};
use anyhow::{Context, Result, ensure};
use linpmem_testkit::arch::Arch;
use linpmem_testkit::checkout;
use linpmem_testkit::cross;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

/// What `rust-version` promises.
const OLDEST: &str = "rustc 1.85.";

/// Makes a workspace of the unpacked packages, which use each other and else what the workspace's
/// `Cargo.lock` names.
fn unpack(packages: &[Package], folder: &Path) -> Result<()> {
    let mut manifest = "[workspace]\nresolver = \"3\"\nmembers = [\"linpmem*\"]\n\n".to_owned();
    manifest.push_str("[patch.crates-io]\n");
    for Package { name, archive } in packages {
        let mut tar = Command::new("tar");
        tar.arg("-xzf").arg(archive).arg("-C").arg(folder);
        ensure!(tar.status()?.success(), "tar: {}", archive.display());
        let unpacked = archive.file_stem().context("no name")?;
        writeln!(manifest, "{name} = {{ path = {unpacked:?} }}")?;
    }
    fs::write(folder.join("Cargo.toml"), manifest)?;
    fs::copy(
        checkout::dir().join("Cargo.lock"),
        folder.join("Cargo.lock"),
    )?;
    // Takes out of the lock file what only the rest of the workspace needs.
    let output = checkout::cargo()
        .args(["metadata", "--offline", "--format-version", "1"])
        .current_dir(folder)
        .output()?;
    ensure!(
        output.status.success(),
        "cargo metadata: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

/// By the compiler of Debian 13, without a network.
#[test]
fn they_build_by_themselves_with_the_oldest_compiler() -> Result<()> {
    let folder = tempfile::tempdir()?;
    unpack(&packages()?, folder.path())?;
    let version = cross::oldest("rustc", folder.path())?
        .arg("--version")
        .output()?;
    let version = String::from_utf8(version.stdout)?;
    print!("{version}");
    ensure!(version.starts_with(OLDEST), "{version}");
    let output = cross::oldest("cargo", folder.path())?
        .args([
            "check",
            "--locked",
            "--workspace",
            "--target",
            Arch::HOST.target(),
        ])
        .arg("--target-dir")
        .arg(checkout::target_dir().join("oldest"))
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    println!("{said}");
    ensure!(output.status.success(), "cargo check failed:\n{said}");
    Ok(())
}
