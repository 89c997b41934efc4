// SPDX-License-Identifier: MIT OR Apache-2.0
//! Kernel modules.

use anyhow::{Context, Result, bail};
use nix::kmod::{DeleteModuleFlags, ModuleInitFlags, delete_module, finit_module};
use std::ffi::CString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// Modules that the host put into the initramfs, named so that they sort in dependency
/// order.
const MODULES: &str = "/modules";

/// Loads all modules in the initramfs, and removes them from it.
pub fn load_all() -> Result<()> {
    let Ok(entries) = fs::read_dir(MODULES) else {
        return Ok(());
    };
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    paths.sort();
    for path in paths {
        load(&path, "")?;
        // The initramfs is in RAM, which need not hold the module twice.
        fs::remove_file(&path).with_context(|| format!("removing {}", path.display()))?;
    }
    Ok(())
}

/// Loads the module at `path` with `params`, as `insmod` does.
pub fn load(path: &Path, params: &str) -> Result<()> {
    let file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
    let params = CString::new(params).context("module parameters")?;
    finit_module(file, &params, ModuleInitFlags::empty())
        .with_context(|| format!("loading {}", path.display()))
}

/// `insmod FILE [PARAMETER ...]`
pub fn insmod(args: &[String]) -> Result<()> {
    let [file, params @ ..] = args else {
        bail!("usage: insmod FILE [PARAMETER ...]");
    };
    load(Path::new(file), &params.join(" "))
}

/// `rmmod NAME`
pub fn rmmod(args: &[String]) -> Result<()> {
    let name = args.first().context("usage: rmmod NAME")?;
    let name = CString::new(name.as_str()).context("a module's name")?;
    delete_module(&name, DeleteModuleFlags::O_NONBLOCK).context("unloading")
}
