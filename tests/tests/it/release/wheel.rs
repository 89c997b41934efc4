// SPDX-License-Identifier: MIT OR Apache-2.0
//! The Python package, installed without a compiler, a network or another package.

use super::files::{find, made, output};
use super::fresh::Fresh;
use crate::contains::contains;
use anyhow::{Context, Result, ensure};
use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// Calls the library, which says that there is no device.
const SCRIPT: &str = "import linpmem, sys\n\
    try:\n    linpmem.open('/nowhere/linpmem')\n\
    except linpmem.Error as error:\n    print(sys.version.split()[0], error.errno, error)\n";

/// The oldest Python that the package must work with, on this machine.
#[test]
fn on_python_3_9() -> Result<()> {
    let work = tempfile::tempdir()?;
    let python = python_3_9()?;
    let venv = work.path().join("venv");
    output(Command::new(python).args(["-m", "venv"]).arg(&venv))?;
    let mut pip = Command::new(venv.join("bin/pip"));
    pip.args(["install", "--no-index", "--quiet"]);
    output(
        pip.arg(find(&made()?, "linpmem-", "_x86_64.whl")?)
            .env("PATH", "/nowhere"),
    )?;
    let said = output(Command::new(venv.join("bin/python")).args(["-c", SCRIPT]))?;
    println!("{said}");
    contains(&said, &["3.9.", " 2 ", "/nowhere/linpmem"])
}

/// The newest Python that Debian has.
#[test]
fn on_sids_python() -> Result<()> {
    let fresh = Fresh::of("sid")?;
    let wheel = fresh.take(&find(&made()?, "linpmem-", "_x86_64.whl")?)?;
    fresh.run("python3", &["-m", "venv", "/root/venv"])?;
    fresh.run(
        "/root/venv/bin/pip",
        &["install", "--no-index", "--quiet", &wheel],
    )?;
    let said = fresh.run("/root/venv/bin/python", &["-c", SCRIPT])?;
    println!("{said}");
    ensure!(said.starts_with("3.1"), "{said}");
    contains(&said, &[" 2 ", "/nowhere/linpmem"])
}

/// In `PATH`, or installed by pyenv.
fn python_3_9() -> Result<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = env::split_paths(&path).collect();
    // Its shims are in PATH as well, and fail for versions that are not chosen.
    folders.retain(|folder| !folder.ends_with("shims"));
    let home = PathBuf::from(env::var_os("HOME").unwrap_or_default());
    if let Ok(versions) = fs::read_dir(home.join(".pyenv/versions")) {
        folders.extend(versions.flatten().map(|version| version.path().join("bin")));
    }
    let found = folders.iter().map(|folder| folder.join("python3.9"));
    found
        .into_iter()
        .find(|python| python.is_file())
        .context("no python3.9 on this machine: install one, such as by `pyenv install 3.9`")
}
