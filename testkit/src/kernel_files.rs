// SPDX-License-Identifier: MIT OR Apache-2.0
//! The files that a system has of its kernel, in a machine that was booted without them.

use crate::vm::Vm;
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// Puts the kernel into /boot, and one of its modules into /lib/modules.
///
/// # Errors
/// If the machine does not take them.
pub fn push(vm: &Vm) -> Result<()> {
    let kernel = vm.kernel();
    let release = kernel.release();
    vm.push(&kernel.vmlinuz(), &vmlinuz(release))?;
    // One stands for all.
    let module = first_module(&kernel.modules())?.context("the kernel has no modules")?;
    let name = module.file_name().context("a file without a name")?;
    let place = format!("/lib/modules/{release}/kernel/{}", name.to_string_lossy());
    vm.push(&module, &place)
}

/// Where a machine has the kernel `release`.
#[must_use]
pub fn vmlinuz(release: &str) -> String {
    format!("/boot/vmlinuz-{release}")
}

/// The first module in a folder or below, by name.
fn first_module(folder: &Path) -> Result<Option<PathBuf>> {
    let mut entries = fs::read_dir(folder)?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<_>>>()?;
    entries.sort();
    for path in entries {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.contains(".ko") {
            return Ok(Some(path));
        }
        if path.is_dir() && !path.is_symlink() {
            if let Some(found) = first_module(&path)? {
                return Ok(Some(found));
            }
        }
    }
    Ok(None)
}
