// SPDX-License-Identifier: MIT OR Apache-2.0
//! pyaff4, a reader of AFF4 images by others, as a judge: does it find in an image
//! what we say is there?

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::cache::Cache;
use crate::root::Root;

const SCRIPT: &str = include_str!("pyaff4.py");

/// What pyaff4 found.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Findings {
    /// What the map has entries for: address and bytes.
    pub runs: Vec<(u64, u64)>,
    /// The end of the last of them.
    pub size: u64,
    /// SHA-256 of all addresses up to there, as it reads them.
    pub sha256: String,
    /// Hashes over all addresses that the image states, by algorithm.
    pub stated: BTreeMap<String, String>,
    /// How often its validator found a hash right, by kind; empty if not asked.
    pub valid: BTreeMap<String, u64>,
    /// What its validator found wrong.
    pub invalid: Vec<String>,
}

/// Opens `image` with pyaff4 and reads all of it; with `validate`, its validator of
/// block hashes has its say, which only understands images of one segment.
///
/// # Errors
/// When pyaff4 does not open or read the image.
pub fn examine(image: &Path, validate: bool) -> Result<Findings> {
    let cache = Cache::open()?;
    let folder = image.parent().context("an image lies in a folder")?;
    let output = Root::open(&cache)?
        .command("python3", &[folder])
        .env("PYTHONPATH", cache.pyaff4())
        .env("PYTHONWARNINGS", "ignore")
        .args(["-c", SCRIPT])
        .arg(image)
        .args(validate.then_some("hashes"))
        .output()
        .context("running pyaff4")?;
    ensure!(
        output.status.success(),
        "pyaff4 does not read {}:\n{}",
        image.display(),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    serde_json::from_slice(&output.stdout).context("pyaff4's findings")
}
