// SPDX-License-Identifier: MIT OR Apache-2.0
//! Volatility 3, over an image and the symbol file made for it.

use crate::cache::Cache;
use crate::debian_tree::DebianTree;
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Volatility with a cache of its own, so that it only knows the symbol files that
/// it is given.
#[derive(Debug)]
pub struct Volatility {
    tree: DebianTree,
    packages: PathBuf,
    cache: TempDir,
}

impl Volatility {
    /// Opens it.
    ///
    /// # Errors
    /// When the set-up has not installed it yet.
    pub fn open() -> Result<Self> {
        let cache = Cache::open()?;
        Ok(Self {
            tree: DebianTree::open(&cache)?,
            packages: cache.volatility(),
            cache: TempDir::with_prefix("linpmem-volatility-")?,
        })
    }

    /// The rows that a plugin prints for `image`, using only the symbol files in the
    /// folder `symbols`. `plugin` is its name and its arguments.
    ///
    /// # Errors
    /// When Volatility fails. It does not regard an empty list as a failure.
    pub fn rows(&self, symbols: &Path, image: &Path, plugin: &[&str]) -> Result<Vec<Value>> {
        let folder = image.parent().context("an image without a folder")?;
        let mut command = self.tree.command("python3", &[folder, symbols]);
        command
            .env("PYTHONPATH", &self.packages)
            .env("PYTHONWARNINGS", "ignore")
            .arg(self.packages.join("bin/vol"))
            .args(["--offline", "-q", "-r", "json", "--cache-path"])
            .arg(self.cache.path())
            .arg("-s")
            .arg(symbols)
            .arg("-f")
            .arg(image)
            .args(plugin);
        let output = command.output().context("starting Volatility")?;
        let name = plugin.join(" ");
        ensure!(
            output.status.success(),
            "{name}: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
        let text = String::from_utf8_lossy(&output.stdout);
        // Remarks may precede the list.
        let start = text
            .find('[')
            .with_context(|| format!("{name} printed no list"))?;
        let list = text.get(start..).unwrap_or_default();
        serde_json::from_str(list).with_context(|| format!("{name} printed {list}"))
    }
}

/// The cell of `row` in the column `name`, as text.
#[must_use]
pub fn column(row: &Value, name: &str) -> String {
    match row.get(name) {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    }
}
