// SPDX-License-Identifier: MIT OR Apache-2.0
//! Stores that images are sent to: s3s-fs, which compares signatures and sums as S3 does, and
//! Azurite.

use super::task::task;
use super::{fingerprint, folder};
use anyhow::{Context, Result};
use linpmem_testkit::cache::Cache;
use linpmem_testkit::checkout;
use linpmem_testkit::stores::{node, s3s_fs};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The newest one that this project's oldest compiler builds.
const S3S_FS: &str = "0.14.1";

const AZURITE: &str = "azurite@3";

const FINGERPRINT: &str = ".stamp.json";

/// Checks that s3s-fs is there.
pub fn check_s3(cache: &Cache) -> Result<(), String> {
    match s3s_fs(cache).is_file() {
        true => Ok(()),
        false => Err("missing".to_owned()),
    }
}

/// Builds s3s-fs.
pub fn make_s3(cache: &Cache) -> Result<()> {
    let what = "built from its sources (two minutes)";
    task(cache, "s3s-fs", what, |log| {
        let mut install = checkout::cargo();
        install
            .args([
                "install",
                "--locked",
                "--debug",
                "s3s-fs",
                "--version",
                S3S_FS,
            ])
            .args(["--features", "binary", "--root"])
            .arg(cache.tools())
            .env("CARGO_PROFILE_DEV_DEBUG", "0")
            .env("CARGO_PROFILE_DEV_OPT_LEVEL", "1")
            .env_remove("RUSTC_WRAPPER")
            .env_remove("CARGO_TARGET_DIR")
            .env_remove("RUSTFLAGS")
            .current_dir("/");
        log.run(&mut install)
    })
}

/// Checks that Azurite is there.
pub fn check_azurite(cache: &Cache) -> Result<(), String> {
    fingerprint::check(&cache.azurite().join(FINGERPRINT), AZURITE)
}

/// Installs Azurite with the Node.js of the other stores.
pub fn make_azurite(cache: &Cache) -> Result<()> {
    task(cache, "azurite", "npm install azurite", |log| {
        let dir = cache.azurite();
        let partial = folder::begin(&dir)?;
        let node = node(cache);
        let npm = npm(&node).context("Node.js came without npm")?;
        fs::write(partial.join("package.json"), "{}")?;
        let mut install = Command::new(&node);
        install
            .arg(npm)
            // None of these packages is to run anything.
            .args([
                "install",
                "--ignore-scripts",
                "--no-audit",
                "--no-fund",
                AZURITE,
            ])
            .env("HOME", &partial)
            .env("npm_config_cache", partial.join("cache"))
            .current_dir(&partial);
        log.run(&mut install)?;
        let _ = fs::remove_dir_all(partial.join("cache"));
        fingerprint::write(&partial.join(FINGERPRINT), AZURITE, &["package.json"])?;
        folder::finish(&dir)
    })
}

/// npm, next to `node`.
fn npm(node: &Path) -> Option<PathBuf> {
    let root = node.parent()?.parent()?;
    Some(root.join("lib/node_modules/npm/bin/npm-cli.js"))
}
