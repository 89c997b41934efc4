// SPDX-License-Identifier: MIT OR Apache-2.0
//! The folder with the files, and the programs that open them.

use anyhow::{Context, Result, ensure};
use linpmem_testkit::cache::Cache;
use linpmem_testkit::checkout;
use linpmem_testkit::debian_tree::DebianTree;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The release that the suite has made.
pub fn made() -> Result<PathBuf> {
    let folder = checkout::target_dir().join("release-files");
    ensure!(
        folder.join("SHA256SUMS").is_file(),
        "no release in {}: run `cargo xtask test release`, or `cargo xtask release`",
        folder.display()
    );
    Ok(folder)
}

/// The names of all files in `folder`, sorted.
pub fn names(folder: &Path) -> Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(folder).with_context(|| format!("listing {}", folder.display()))? {
        names.insert(entry?.file_name().to_string_lossy().into_owned());
    }
    Ok(names)
}

/// The one file in `folder` whose name begins and ends like this.
pub fn find(folder: &Path, start: &str, end: &str) -> Result<PathBuf> {
    let mut found = names(folder)?;
    found.retain(|name| name.starts_with(start) && name.ends_with(end));
    let name = found.pop_first();
    let name = name.with_context(|| format!("no {start}…{end} in {}", folder.display()))?;
    ensure!(found.is_empty(), "{name} is not the only {start}…{end}");
    Ok(folder.join(name))
}

/// What `command` prints, which must succeed.
pub fn output(command: &mut Command) -> Result<String> {
    let output = command
        .output()
        .with_context(|| format!("starting {command:?}"))?;
    ensure!(
        output.status.success(),
        "{command:?} failed ({}):\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A program of the main Debian tree.
pub fn in_tree(program: &str) -> Result<Command> {
    Ok(DebianTree::open(&Cache::open()?)?.command(program, &[]))
}

/// `cargo xtask release` into `folder`, with more arguments.
pub fn release(folder: &Path, args: &[&str]) -> Result<String> {
    let mut cargo = checkout::cargo();
    cargo.args(["xtask", "release", "--output"]).arg(folder);
    output(cargo.args(args))
}

/// Checks that two folders have the same files, byte for byte, apart from those in `except`.
pub fn same(one: &Path, other: &Path, except: &[&str]) -> Result<()> {
    let listed = |folder| -> Result<BTreeSet<String>> {
        let mut names = names(folder)?;
        names.retain(|name| !except.contains(&name.as_str()));
        Ok(names)
    };
    let names = listed(one)?;
    ensure!(!names.is_empty() && names == listed(other)?, "other files");
    let mut differ = Vec::new();
    for name in &names {
        if fs::read(one.join(name))? != fs::read(other.join(name))? {
            differ.push(name.as_str());
        }
    }
    ensure!(differ.is_empty(), "other bytes in {}", differ.join(", "));
    println!("{} files are the same", names.len());
    Ok(())
}
