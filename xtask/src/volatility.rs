// SPDX-License-Identifier: MIT OR Apache-2.0
//! Volatility 3 as a judge of an image and of the symbol file made for it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;

use crate::cache::Cache;
use crate::root::Root;

/// Volatility, with a cache of its own: it knows no symbol file but those it is
/// shown.
#[derive(Debug)]
pub struct Volatility {
    root: Root,
    packages: PathBuf,
    cache: TempDir,
}

impl Volatility {
    /// Opens it.
    ///
    /// # Errors
    /// When the set-up has not made it yet.
    pub fn open() -> Result<Self> {
        let cache = Cache::open()?;
        Ok(Self {
            root: Root::open(&cache)?,
            packages: cache.volatility(),
            cache: TempDir::with_prefix("linpmem-volatility-")?,
        })
    }

    /// The rows that the plugin finds in `image`, with the symbol files in the folder
    /// `symbols` and no others. `plugin` is its name and its arguments.
    ///
    /// # Errors
    /// When Volatility fails. An empty list is none to it.
    pub fn rows(&self, symbols: &Path, image: &Path, plugin: &[&str]) -> Result<Vec<Value>> {
        let folder = image.parent().context("an image lies in a folder")?;
        let mut command = self.root.command("python3", &[folder, symbols]);
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
        let output = command.output().context("running Volatility")?;
        let said = String::from_utf8_lossy(&output.stderr);
        let name = plugin.join(" ");
        ensure!(output.status.success(), "{name}: {}", said.trim());
        let text = String::from_utf8_lossy(&output.stdout);
        // Before the list there may be remarks.
        let start = text.find('[').with_context(|| format!("{name}: no list"))?;
        let list = text.get(start..).unwrap_or_default();
        serde_json::from_str(list).with_context(|| format!("{name} said {list}"))
    }
}

/// What a row has in the column `name`, as text.
#[must_use]
pub fn column(row: &Value, name: &str) -> String {
    match row.get(name) {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    }
}
