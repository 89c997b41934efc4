// SPDX-License-Identifier: MIT OR Apache-2.0
//! Folders that appear whole or not at all.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// `PATH.partial`, emptied, to make the folder in.
///
/// # Errors
/// When an old one cannot be removed, or the new one not be made.
pub fn begin(path: &Path) -> Result<PathBuf> {
    let partial = beside(path, ".partial");
    remove(&partial)?;
    fs::create_dir_all(&partial)
        .with_context(|| format!("cannot make the folder {}", partial.display()))?;
    Ok(partial)
}

/// Puts `PATH.partial` in the place of `path`, and removes what was there.
///
/// # Errors
/// When a folder cannot be renamed or removed.
pub fn finish(path: &Path) -> Result<()> {
    let old = beside(path, ".old");
    remove(&old)?;
    if path.exists() {
        rename(path, &old)?;
    }
    rename(&beside(path, ".partial"), path)?;
    remove(&old)
}

/// Removes a folder and all in it, if it is there.
///
/// # Errors
/// When it cannot be removed.
pub fn remove(path: &Path) -> Result<()> {
    if path.symlink_metadata().is_ok() {
        fs::remove_dir_all(path)
            .with_context(|| format!("cannot remove the folder {}", path.display()))?;
    }
    Ok(())
}

fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to)
        .with_context(|| format!("cannot rename {} to {}", from.display(), to.display()))
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
