// SPDX-License-Identifier: MIT OR Apache-2.0
//! The compiler that built a kernel: Rust modules load only when built by the
//! same one.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::host;
use super::mirror::Mirrors;
use super::tree::{self, Tree};
use crate::cache::Cache;
use crate::root::Root;

/// The tree in the cache whose compiler calls itself `rustc`, if there is one.
///
/// # Errors
/// When there is no tree at all, or one does not run.
pub fn find(cache: &Cache, rustc: &str) -> Result<Option<Root>> {
    let mut roots = vec![Root::open(cache)?];
    for dir in trees(&cache.compilers())? {
        let name = dir.file_name().unwrap_or_default().to_string_lossy();
        if Tree::compilers(cache, &name).check().is_ok() {
            roots.push(Root::at(&dir, cache));
        }
    }
    for root in roots {
        if version(&root)? == rustc {
            return Ok(Some(root));
        }
    }
    Ok(None)
}

/// The tree whose compiler calls itself `rustc`: from the cache, else made from
/// the suite that the kernel is from. To be called with the lock held.
///
/// # Errors
/// When that suite has another compiler by now.
pub fn of_suite(cache: &Cache, rustc: &str, suite: &str) -> Result<Root> {
    if let Some(root) = find(cache, rustc)? {
        return Ok(root);
    }
    let suite = suite.split('-').next().unwrap_or(suite);
    if suite != tree::SUITE {
        let tree = Tree::compilers(cache, suite);
        tree.make(cache, &Mirrors::of_this_machine()?, host::ready(cache)?)?;
        if let Some(root) = find(cache, rustc)? {
            return Ok(root);
        }
    }
    bail!(
        "the kernel was built by `{rustc}`, and neither the cache nor Debian's {suite} has this \
         compiler. If one of the two is out of date, `cargo xtask setup --refresh` renews both"
    )
}

/// What the tree's `rustc` calls itself.
///
/// # Errors
/// When it does not run.
pub fn version(root: &Root) -> Result<String> {
    let mut rustc = root.command("rustc", &[]);
    let output = rustc
        .arg("--version")
        .output()
        .context("cannot start rustc in the Debian tree")?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The folders in `dir`, sorted; none where it is missing.
fn trees(dir: &Path) -> Result<Vec<std::path::PathBuf>> {
    if !dir.is_dir() {
        return Ok(Vec::new());
    }
    let mut trees = Vec::new();
    for entry in fs::read_dir(dir).with_context(|| format!("cannot list {}", dir.display()))? {
        trees.push(entry?.path());
    }
    trees.sort();
    Ok(trees)
}
