// SPDX-License-Identifier: MIT OR Apache-2.0
//! LeechCore, another parser of images: does it see the same memory?

use super::python::Script;
use crate::cache::Cache;
use anyhow::Result;
use serde::Deserialize;
use std::path::Path;

const SCRIPT: Script = Script {
    name: "LeechCore",
    text: include_str!("leechcore.py"),
    packages: Cache::volatility,
};

/// What LeechCore found.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Findings {
    /// Its ranges.
    pub ranges: Vec<Range>,
    /// The texts that occur somewhere in the ranges.
    pub found: Vec<String>,
}

/// A range and its content.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Range {
    /// Its first physical address.
    pub start: u64,
    /// Its length in bytes.
    pub size: u64,
    /// SHA-256 of these bytes, in hexadecimal.
    pub sha256: String,
}

/// Opens `image`, reads all of it and searches it for `texts`.
///
/// # Errors
/// When LeechCore cannot open or read it.
pub fn examine(image: &Path, texts: &[&str]) -> Result<Findings> {
    SCRIPT.run(&[image], texts)
}
