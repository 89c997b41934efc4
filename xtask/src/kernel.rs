// SPDX-License-Identifier: MIT OR Apache-2.0
//! Kernels in the cache.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::cache::Cache;
use crate::setup::kernels::Wanted;

/// A kernel taken apart from its packages.
#[derive(Clone, Debug)]
pub struct Kernel {
    dir: PathBuf,
    facts: Facts,
}

/// What `kernel.json` says.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Facts {
    /// As `uname -r` gives it.
    pub release: String,
    /// The package that was asked for, such as `linux-image-cloud-amd64`.
    pub package: String,
    /// The version of the package found.
    pub version: String,
    /// The suite it came from.
    pub suite: String,
    /// `CONFIG_RUSTC_VERSION_TEXT`, when the kernel is built with Rust.
    pub rustc: Option<String>,
}

impl Facts {
    /// What was asked for when it was fetched.
    #[must_use]
    pub fn wanted(&self) -> Wanted {
        Wanted {
            package: self.package.clone(),
            suite: self.suite.clone(),
        }
    }
}

impl Kernel {
    /// The variable that names the release to test on, instead of the default.
    pub const CHOSEN: &str = "LINPMEM_KERNEL";

    /// The kernel that tests run on: the one that `LINPMEM_KERNEL` names, else
    /// the default.
    ///
    /// # Errors
    /// When it is not in the cache.
    pub fn chosen(cache: &Cache) -> Result<Self> {
        match std::env::var(Self::CHOSEN) {
            Ok(release) if !release.is_empty() => Self::find(cache, &release),
            _ => Self::default(cache),
        }
    }

    /// All kernels in the cache, by release.
    ///
    /// # Errors
    /// When the folder cannot be read, or a `kernel.json` is damaged.
    pub fn list(cache: &Cache) -> Result<Vec<Self>> {
        let dir = cache.kernels();
        if !dir.is_dir() {
            return Ok(Vec::new());
        }
        let mut kernels = Vec::new();
        for entry in fs::read_dir(&dir).with_context(|| format!("cannot list {}", dir.display()))? {
            let entry = entry?;
            let name = entry.file_name();
            let half = name.to_string_lossy().ends_with(".partial");
            if !half && entry.file_type()?.is_dir() && entry.path().join("kernel.json").is_file() {
                kernels.push(Self::read(&entry.path())?);
            }
        }
        kernels.sort_by(|a, b| a.facts.release.cmp(&b.facts.release));
        Ok(kernels)
    }

    /// The default: the newest cloud flavour with Rust.
    ///
    /// # Errors
    /// When the set-up has not fetched it yet.
    pub fn default(cache: &Cache) -> Result<Self> {
        Self::read(&cache.kernels().join("default"))
    }

    /// The kernel `release`.
    ///
    /// # Errors
    /// When it is not in the cache.
    pub fn find(cache: &Cache, release: &str) -> Result<Self> {
        Self::read(&cache.kernels().join(release))
    }

    fn read(dir: &Path) -> Result<Self> {
        let missing = || format!("no kernel in {}: run `cargo xtask setup`", dir.display());
        let dir = dir.canonicalize().with_context(missing)?;
        let json = fs::read(dir.join("kernel.json")).with_context(missing)?;
        let facts = serde_json::from_slice(&json)
            .with_context(|| format!("{} is damaged", dir.join("kernel.json").display()))?;
        Ok(Self { dir, facts })
    }

    /// As `uname -r` gives it.
    #[must_use]
    pub fn release(&self) -> &str {
        &self.facts.release
    }

    /// What is known of it.
    #[must_use]
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Whether `CONFIG_RUST=y`: our module can be built for it.
    #[must_use]
    pub fn has_rust(&self) -> bool {
        self.facts.rustc.is_some()
    }

    /// The folder that holds it.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The boot image.
    #[must_use]
    pub fn vmlinuz(&self) -> PathBuf {
        self.dir.join("vmlinuz")
    }

    /// Its `.config`.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.dir.join("config")
    }

    /// `System.map`, which comes with the debug symbols.
    #[must_use]
    pub fn system_map(&self) -> PathBuf {
        self.dir.join("System.map")
    }

    /// The tree that is `/lib/modules/RELEASE` where the kernel is installed.
    #[must_use]
    pub fn modules(&self) -> PathBuf {
        self.dir.join("modules")
    }

    /// The kernel with debug symbols.
    #[must_use]
    pub fn vmlinux(&self) -> PathBuf {
        self.dir.join("vmlinux")
    }
}
