// SPDX-License-Identifier: MIT OR Apache-2.0
//! The Python package, with the library for C inside.

use super::glibc::Needs;
use super::item::read;
use super::origin::output;
use crate::setup::{self, Part};
use anyhow::{Context, Result};
use linpmem_testkit::arch::Arch;
use linpmem_testkit::cache::Cache;
use linpmem_testkit::checkout;
use linpmem_testkit::debian_tree::DebianTree;
use std::fs;
use std::path::Path;

/// The wheel's file name and bytes, with the library in the folder `dist`.
pub fn pack(dist: &Path, arch: Arch, epoch: u64) -> Result<(String, Vec<u8>)> {
    let library = dist.join("lib/liblinpmem.so.0").canonicalize()?;
    let platform = Needs::of(&read(&library)?)?.wheel_platform(arch.name());
    let cache = Cache::open()?;
    setup::ensure(&cache, &[Part::Tree, Part::Hatchling])?;
    let work = tempfile::tempdir()?;
    let mut build = DebianTree::open(&cache)?.command("python3", &[work.path(), dist]);
    build
        .args([
            "-m",
            "hatchling",
            "build",
            "--target",
            "wheel",
            "--directory",
        ])
        .arg(work.path())
        .env("WORKDIR", checkout::dir().join("driver/python"))
        .env("PYTHONPATH", cache.hatchling())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("LINPMEM_LIBRARY", &library)
        .env("LINPMEM_WHEEL_PLATFORM", &platform)
        .env("SOURCE_DATE_EPOCH", epoch.to_string());
    output(&mut build).context("hatchling cannot build the Python package")?;
    for entry in fs::read_dir(work.path())? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "whl") {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            return Ok((name.into_owned(), read(&path)?));
        }
    }
    Err(anyhow::anyhow!("hatchling succeeded, but left no wheel"))
}
