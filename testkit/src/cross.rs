// SPDX-License-Identifier: MIT OR Apache-2.0
//! Cargo for another architecture: the one in that architecture's Debian tree, which has
//! the standard library and a linker for it.

use crate::arch::Arch;
use crate::cache::Cache;
use crate::checkout;
use crate::debian_tree::DebianTree;
use anyhow::{Context, Result, bail, ensure};
use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A target folder that no other compiler uses.
#[must_use]
pub fn target_dir(arch: Arch) -> PathBuf {
    match arch {
        Arch::HOST => checkout::target_dir(),
        other => checkout::target_dir().join(other.name()),
    }
}

/// Cargo, started in the checkout. The caller gives `--target` and `--target-dir`.
///
/// # Errors
/// When the set-up has not made the architecture's tree yet, or crates cannot be downloaded.
pub fn cargo(arch: Arch) -> Result<Command> {
    if arch == Arch::HOST {
        return Ok(checkout::cargo());
    }
    fetch(arch)?;
    let mut cargo = in_tree("cargo", &checkout::dir())?;
    let (upper, lower) = (
        arch.target().to_uppercase().replace('-', "_"),
        arch.target().replace('-', "_"),
    );
    let gcc = format!("{}-linux-gnu-gcc", arch.name());
    cargo
        .env(format!("CARGO_TARGET_{upper}_LINKER"), &gcc)
        .env(format!("CARGO_TARGET_{upper}_RUNNER"), arch.emulator())
        .env(format!("CC_{lower}"), &gcc);
    let is_passed = |name: &OsString| {
        let name = name.to_string_lossy();
        ["CARGO_INCREMENTAL", "CARGO_BUILD_JOBS"].contains(&&*name)
            || name.starts_with("CARGO_PROFILE_")
    };
    cargo.envs(env::vars_os().filter(|(name, _)| is_passed(name)));
    Ok(cargo)
}

/// A program of the oldest compiler that the workspace supports, started in `dir`: cargo builds
/// for the host with it. The crates that the workspace needs are downloaded first.
///
/// # Errors
/// When the set-up has not made the tree for arm64 yet, which has that compiler.
pub fn oldest(program: &str, dir: &Path) -> Result<Command> {
    fetch(Arch::HOST)?;
    in_tree(program, dir)
}

/// A program of the tree with the cross compiler, started in `dir`, without a network.
fn in_tree(program: &str, dir: &Path) -> Result<Command> {
    let cache = Cache::open()?;
    let home = cargo_home()?;
    let mut command = DebianTree::of(Arch::Aarch64, &cache)?.command(program, &[&home, dir]);
    command
        .env("WORKDIR", dir)
        .env("CARGO_HOME", home)
        // What is missing was fetched by the host's cargo, which knows how.
        .env("CARGO_NET_OFFLINE", "true");
    Ok(command)
}

/// Downloads the crates that a build for `arch` needs, unless they are there.
fn fetch(arch: Arch) -> Result<()> {
    let fetch = |more: &[&str]| {
        checkout::cargo()
            .args(["fetch", "--quiet", "--locked", "--target", arch.target()])
            .args(more)
            .output()
            .context("cannot start cargo")
    };
    if fetch(&["--offline"])?.status.success() {
        return Ok(());
    }
    let output = fetch(&[])?;
    ensure!(
        output.status.success(),
        "cargo cannot download the crates for {} ({}):\n{}",
        arch.target(),
        output.status,
        String::from_utf8_lossy(&output.stderr).trim_end()
    );
    Ok(())
}

/// The folder in which cargo keeps crates.
///
/// # Errors
/// When the environment names none.
pub fn cargo_home() -> Result<PathBuf> {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty());
    if let Some(home) = set("CARGO_HOME") {
        return Ok(std::path::absolute(home)?);
    }
    match set("HOME") {
        Some(home) => Ok(PathBuf::from(home).join(".cargo")),
        None => bail!("no folder for cargo's crates: set HOME or CARGO_HOME"),
    }
}
