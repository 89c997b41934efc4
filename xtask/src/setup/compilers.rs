// SPDX-License-Identifier: MIT OR Apache-2.0
//! The compiler that built a kernel: Rust modules only load if the same one built them.

use super::tree::{self, Recipe};
use anyhow::{Context, Result, bail};
use linpmem_testkit::arch::Arch;
use linpmem_testkit::cache::Cache;
use linpmem_testkit::debian_tree::DebianTree;
use std::fs;

/// The tree in the cache whose `rustc --version` prints `rustc` and that can build for
/// `arch`, if there is one.
pub fn find(cache: &Cache, rustc: &str, arch: Arch) -> Result<Option<DebianTree>> {
    let mut trees = Vec::new();
    if arch == Arch::HOST {
        trees.push(DebianTree::open(cache)?);
    }
    if let Ok(entries) = fs::read_dir(cache.compilers()) {
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let Some(suite) = tree::suite_of_compilers(&name, arch) else {
                continue;
            };
            if Recipe::compilers(cache, suite, arch).check().is_ok() {
                trees.push(DebianTree::at(&entry.path(), cache));
            }
        }
    }
    for tree in trees {
        let version = tree.command("rustc", &[]).arg("--version").output();
        let version = version.context("cannot start rustc in a Debian tree")?;
        if String::from_utf8_lossy(&version.stdout).trim() == rustc {
            return Ok(Some(tree));
        }
    }
    Ok(None)
}

/// The tree whose `rustc --version` prints `rustc`: from the cache, else made from the
/// suite that the kernel is from. The caller holds the lock.
pub fn of_suite(cache: &Cache, rustc: &str, suite: &str, arch: Arch) -> Result<DebianTree> {
    if let Some(tree) = find(cache, rustc, arch)? {
        return Ok(tree);
    }
    let suite = suite.split('-').next().unwrap_or(suite);
    if suite != tree::SUITE || arch != Arch::HOST {
        Recipe::compilers(cache, suite, arch).make(cache)?;
        if let Some(tree) = find(cache, rustc, arch)? {
            return Ok(tree);
        }
    }
    bail!(
        "the kernel was built by `{rustc}`, which is neither in the cache nor in Debian's {suite}. \
         If the kernel or the compiler is out of date, `cargo xtask setup --refresh` renews both"
    )
}
