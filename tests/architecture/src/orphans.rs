// SPDX-License-Identifier: MIT OR Apache-2.0
//! Source files that no module declares: nothing compiles them, and nobody notices.

use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// The files below the folder of `root`, a crate's root file, that no module declares.
/// Other roots of the same folder count as declared.
///
/// # Errors
/// When a folder or a file cannot be read.
pub fn find(root: &Path) -> Result<Vec<PathBuf>> {
    let mut orphans = Vec::new();
    search(
        root.parent().context("a root file without a folder")?,
        &mut orphans,
    )?;
    orphans.sort();
    Ok(orphans)
}

fn search(folder: &Path, orphans: &mut Vec<PathBuf>) -> Result<()> {
    let parents = ["mod.rs", "lib.rs", "main.rs"].map(|name| folder.join(name));
    let parents = parents.into_iter().chain([folder.with_extension("rs")]);
    let declared: String = parents
        .filter_map(|parent| fs::read_to_string(parent).ok())
        .collect();
    for entry in fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            search(&path, orphans)?;
            continue;
        }
        let name = path
            .file_stem()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        let is_source = path.extension().is_some_and(|ending| ending == "rs");
        let is_root = ["mod", "lib", "main"].contains(&name);
        let declaration = format!("mod {name};");
        let is_declared = declared
            .lines()
            .any(|line| line.trim().ends_with(&declaration));
        if is_source && !is_root && !is_declared {
            orphans.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_module_declares_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            path
        };
        let root = put("lib.rs", "mod a;\npub(crate) mod below;\n");
        put("a.rs", "");
        put("below/mod.rs", "#[cfg(test)]\nmod tests;\n");
        put("below/tests.rs", "");
        let lost = [put("below/lost.rs", ""), put("lost.rs", "")];
        assert_eq!(find(&root).unwrap(), lost);
    }
}
