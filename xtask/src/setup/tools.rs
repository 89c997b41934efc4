// SPDX-License-Identifier: MIT OR Apache-2.0
//! Tools that cargo builds: cargo-deny.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use super::host::on_path;
use super::step::step;
use crate::cache::Cache;

/// Where cargo-deny is: on `PATH`, or in the cache.
#[must_use]
pub fn cargo_deny(cache: &Cache) -> Option<PathBuf> {
    if on_path("cargo-deny") {
        return Some("cargo-deny".into());
    }
    let built = cache.tools().join("bin/cargo-deny");
    built.is_file().then_some(built)
}

/// Builds the newest cargo-deny, or leaves the one that is there when it is
/// the newest.
///
/// # Errors
/// When it cannot be fetched or built.
pub fn make(cache: &Cache) -> Result<()> {
    step(
        cache,
        "cargo-deny",
        "built from its newest release (several minutes)",
        |log| {
            let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
            let mut install = Command::new(cargo);
            install
                .args(["install", "--locked", "--debug", "cargo-deny", "--root"])
                .arg(cache.tools());
            install.env("CARGO_TARGET_DIR", cache.tools().join("build"));
            // Speed of building matters, speed of running does not; a compiler
            // wrapper's server would live on and hold the set-up's lock.
            install
                .env("CARGO_PROFILE_DEV_DEBUG", "0")
                .env_remove("RUSTC_WRAPPER");
            install.env_remove("RUSTFLAGS").current_dir("/");
            log.run(&mut install)?;
            tidy(cache)
        },
    )
}

/// Removes what a build left, also one that was killed.
///
/// # Errors
/// When it cannot be removed.
pub fn tidy(cache: &Cache) -> Result<()> {
    super::folder::remove(&cache.tools().join("build"))
}
