// SPDX-License-Identifier: MIT OR Apache-2.0
//! LeechCore, a second parser of images: does it see the same memory?

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::cache::Cache;
use crate::root::Root;

const SCRIPT: &str = include_str!("leechcore.py");

/// What LeechCore found.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Findings {
    /// Its ranges.
    pub ranges: Vec<Range>,
    /// Those of the texts that lie somewhere in them.
    pub found: Vec<String>,
}

/// A range and what is in it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Range {
    /// Its first address.
    pub start: u64,
    /// Bytes.
    pub size: u64,
    /// Of these bytes.
    pub sha256: String,
}

/// Opens `image`, reads all of it and looks for `texts`.
///
/// # Errors
/// When LeechCore does not open or read it.
pub fn examine(image: &Path, texts: &[&str]) -> Result<Findings> {
    let cache = Cache::open()?;
    let folder = image.parent().context("an image lies in a folder")?;
    let output = Root::open(&cache)?
        .command("python3", &[folder])
        .env("PYTHONPATH", cache.volatility())
        .args(["-c", SCRIPT])
        .arg(image)
        .args(texts)
        .output()
        .context("running LeechCore")?;
    ensure!(
        output.status.success(),
        "LeechCore does not read {}:\n{}",
        image.display(),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    serde_json::from_slice(&output.stdout).context("LeechCore's findings")
}
