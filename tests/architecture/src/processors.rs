// SPDX-License-Identifier: MIT OR Apache-2.0
//! Code that depends on the processor that it is compiled for.

use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// How a condition names the processor.
const CONDITION: &str = "target_arch = \"";

/// The source files below `folder` with such a condition.
///
/// # Errors
/// When a folder or a file cannot be read.
pub fn find(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    search(folder, &mut found)?;
    found.sort();
    Ok(found)
}

fn search(folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            search(&path, found)?;
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let text =
                fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
            let mut code = text.lines().map(str::trim_start);
            if code.any(|line| !line.starts_with("//") && line.contains(CONDITION)) {
                found.push(path);
            }
        }
    }
    Ok(())
}
