// SPDX-License-Identifier: MIT OR Apache-2.0
//! Folders that appear complete or not at all.

use anyhow::{Context, Result};
use linpmem_testkit::target_machine::companion;
use std::fs;
use std::path::{Path, PathBuf};

/// An empty `PATH.partial`, in which to make the folder.
pub fn begin(path: &Path) -> Result<PathBuf> {
    let partial = companion(path, "partial");
    remove(&partial)?;
    fs::create_dir_all(&partial)
        .with_context(|| format!("cannot create the folder {}", partial.display()))?;
    Ok(partial)
}

/// Replaces `path` by `PATH.partial`.
pub fn finish(path: &Path) -> Result<()> {
    let old = companion(path, "old");
    remove(&old)?;
    if path.exists() {
        rename(path, &old)?;
    }
    rename(&companion(path, "partial"), path)?;
    remove(&old)
}

/// Removes a folder and everything in it, if it exists.
pub fn remove(path: &Path) -> Result<()> {
    if path.symlink_metadata().is_ok() {
        fs::remove_dir_all(path)
            .with_context(|| format!("cannot remove the folder {}", path.display()))?;
    }
    Ok(())
}

/// Moves a file or folder.
pub fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to)
        .with_context(|| format!("cannot rename {} to {}", from.display(), to.display()))
}
