// SPDX-License-Identifier: MIT OR Apache-2.0
//! Python scripts that examine files with other people's packages.

use crate::cache::Cache;
use crate::debian_tree::DebianTree;
use anyhow::{Context, Result, ensure};
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};

/// A script, and the packages it uses.
pub(super) struct Script {
    /// What to call it in errors.
    pub(super) name: &'static str,
    pub(super) text: &'static str,
    /// The folder of the cache that is its `PYTHONPATH`.
    pub(super) packages: fn(&Cache) -> PathBuf,
}

impl Script {
    /// Runs the script in the Debian tree over `files`, with `args` after their names.
    /// It prints its findings as JSON.
    pub(super) fn run<T: DeserializeOwned>(&self, files: &[&Path], args: &[&str]) -> Result<T> {
        let cache = Cache::open()?;
        let folders: Vec<&Path> = files.iter().filter_map(|file| file.parent()).collect();
        let output = DebianTree::open(&cache)?
            .command("python3", &folders)
            .env("PYTHONPATH", (self.packages)(&cache))
            .env("PYTHONWARNINGS", "ignore")
            // No debug files but those that are given.
            .env("DEBUGINFOD_URLS", "")
            .args(["-c", self.text])
            .args(files)
            .args(args)
            .output()
            .with_context(|| format!("starting {}", self.name))?;
        ensure!(
            output.status.success(),
            "{} failed on {files:?}:\n{}",
            self.name,
            String::from_utf8_lossy(&output.stderr).trim()
        );
        serde_json::from_slice(&output.stdout)
            .with_context(|| format!("reading the findings of {}", self.name))
    }
}
