// SPDX-License-Identifier: MIT OR Apache-2.0
//! cargo-deny, which checks the licences of dependencies.

use super::host::on_path;
use super::task::task;
use anyhow::Result;
use linpmem_testkit::cache::Cache;
use linpmem_testkit::checkout;
use std::path::PathBuf;

/// Where cargo-deny is: in `PATH`, or in the cache.
pub fn find(cache: &Cache) -> Option<PathBuf> {
    if on_path("cargo-deny") {
        return Some("cargo-deny".into());
    }
    let built = cache.tools().join("bin/cargo-deny");
    built.is_file().then_some(built)
}

/// Builds the newest cargo-deny.
pub fn make(cache: &Cache) -> Result<()> {
    let what = "built from its newest release (several minutes)";
    task(cache, "cargo-deny", what, |log| {
        let mut install = checkout::cargo();
        install
            .args(["install", "--locked", "--debug", "cargo-deny", "--root"])
            .arg(cache.tools());
        // Building must be fast, running need not be. A compiler wrapper may start a
        // server that would outlive the set-up and hold its lock.
        install
            .env("CARGO_PROFILE_DEV_DEBUG", "0")
            .env_remove("RUSTC_WRAPPER")
            .env_remove("CARGO_TARGET_DIR")
            .env_remove("RUSTFLAGS")
            .current_dir("/");
        log.run(&mut install)
    })
}
