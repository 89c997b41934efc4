// SPDX-License-Identifier: MIT OR Apache-2.0
//! pyaff4, another reader of AFF4 images: does it find what we say is there?

use super::python::Script;
use crate::cache::Cache;
use anyhow::Result;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

const SCRIPT: Script = Script {
    name: "pyaff4",
    text: include_str!("pyaff4.py"),
    packages: Cache::pyaff4,
};

/// What pyaff4 found.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Findings {
    /// The map's entries: address and length in bytes.
    pub runs: Vec<(u64, u64)>,
    /// The end of the last of them.
    pub size: u64,
    /// SHA-256 of all addresses up to there, as pyaff4 reads them.
    pub sha256: String,
    /// Hashes over all addresses that the image states, by algorithm.
    pub stated: BTreeMap<String, String>,
    /// How many hashes its validator found right, by kind; empty if it was not asked.
    pub valid: BTreeMap<String, u64>,
    /// What its validator found wrong.
    pub invalid: Vec<String>,
}

/// Opens `image` with pyaff4 and reads all of it. With `validate`, its validator of
/// block hashes checks the image too; that only works on images of one segment.
///
/// # Errors
/// When pyaff4 cannot open or read the image.
pub fn examine(image: &Path, validate: bool) -> Result<Findings> {
    let hashes: &[&str] = if validate { &["hashes"] } else { &[] };
    SCRIPT.run(&[image], hashes)
}
