// SPDX-License-Identifier: MIT OR Apache-2.0
//! yara, strings, grep and dd, which search files that we make.

use crate::cache::Cache;
use crate::debian_tree::DebianTree;
use anyhow::{Context, Result, ensure};
use std::ffi::OsStr;
use std::path::Path;

/// The tree with these programs.
#[derive(Clone, Debug)]
pub struct Searchers {
    tree: DebianTree,
}

impl Searchers {
    /// Opens it.
    ///
    /// # Errors
    /// When the set-up has not made it yet.
    pub fn open() -> Result<Self> {
        let cache = Cache::open()?;
        let dir = cache.searchers();
        for program in ["dd", "grep", "strings", "yara"] {
            ensure!(
                dir.join("usr/bin").join(program).exists(),
                "no {program} in {}: run `cargo xtask setup`",
                dir.display()
            );
        }
        let tree = DebianTree::at(&dir, &cache);
        Ok(Self { tree })
    }

    /// What `program` prints with `args`, where `folders` are what they name files in. An exit code
    /// other than 0, or a complaint, is a failure.
    ///
    /// # Errors
    /// When it fails.
    pub fn run(
        &self,
        program: &str,
        args: &[&dyn AsRef<OsStr>],
        folders: &[&Path],
    ) -> Result<Vec<u8>> {
        let mut command = self.tree.command(program, folders);
        command.args(args.iter().map(|arg| arg.as_ref()));
        let output = command
            .output()
            .with_context(|| format!("starting {program}"))?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success() && said.trim().is_empty(),
            "{program}: {}: {}",
            output.status,
            said.trim()
        );
        Ok(output.stdout)
    }
}
