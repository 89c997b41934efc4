// SPDX-License-Identifier: MIT OR Apache-2.0
//! Kernels in the cache.

use crate::arch::Arch;
use crate::cache::Cache;
use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// A kernel, unpacked from its packages.
#[derive(Clone, Debug)]
pub struct Kernel {
    dir: PathBuf,
    facts: Facts,
}

/// The content of `kernel.json`.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Facts {
    /// As `uname -r` prints it.
    pub release: String,
    /// The package that was asked for.
    #[serde(flatten)]
    pub package: KernelPackage,
    /// The version of the kernel's own package.
    pub version: String,
    /// `CONFIG_RUSTC_VERSION_TEXT`, if the kernel is built with Rust.
    pub rustc: Option<String>,
}

/// A kernel by the package that brings it: a metapackage that depends on the newest
/// kernel, or a kernel's own package.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct KernelPackage {
    /// The package, such as `linux-image-cloud-amd64`.
    #[serde(rename = "package")]
    pub name: String,
    /// The suite it comes from, such as `trixie-backports`.
    pub suite: String,
}

impl KernelPackage {
    /// The newest cloud kernel of `suite`: of all flavours it has the smallest debug
    /// package.
    #[must_use]
    pub fn cloud(suite: &str) -> Self {
        Self::cloud_of(Arch::X86_64, suite)
    }

    /// The newest cloud kernel of `suite` for an architecture.
    #[must_use]
    pub fn cloud_of(arch: Arch, suite: &str) -> Self {
        Self {
            name: format!("linux-image-cloud-{}", arch.debian()),
            suite: suite.to_owned(),
        }
    }

    /// The kernel that tests use by default: built with Rust, by the compiler of
    /// Debian's stable release.
    #[must_use]
    pub fn newest() -> Self {
        Self::newest_of(Arch::X86_64)
    }

    /// The kernel of an architecture that tests use by default.
    #[must_use]
    pub fn newest_of(arch: Arch) -> Self {
        Self::cloud_of(arch, "trixie-backports")
    }

    /// The architecture that its name tells.
    #[must_use]
    pub fn arch(&self) -> Arch {
        Arch::of_kernel(&self.name)
    }

    /// The stable release's own kernel, which every consumer of images supports. It
    /// is built without Rust.
    #[must_use]
    pub fn stable() -> Self {
        Self::cloud("trixie")
    }
}

/// Parses `PACKAGE@SUITE`.
impl FromStr for KernelPackage {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('@') {
            Some((name, suite)) if !name.is_empty() && !suite.is_empty() => Ok(Self {
                name: name.to_owned(),
                suite: suite.to_owned(),
            }),
            _ => Err("expected PACKAGE@SUITE, such as linux-image-amd64@sid".to_owned()),
        }
    }
}

impl Kernel {
    /// The variable that names the release to test on, instead of the default.
    pub const CHOSEN: &str = "LINPMEM_KERNEL";

    /// The kernel to test on: the release that `LINPMEM_KERNEL` names, else `package`.
    ///
    /// # Errors
    /// When it is not in the cache, or has another architecture than `package`.
    pub fn chosen_or(cache: &Cache, package: &KernelPackage) -> Result<Self> {
        let Some(kernel) = Self::chosen(cache)? else {
            return Self::of_package(cache, package);
        };
        let (own, needed) = (kernel.arch().name(), package.arch().name());
        ensure!(
            own == needed,
            "this test needs a kernel for {needed}, and {} names {}, one for {own}",
            Self::CHOSEN,
            kernel.release()
        );
        Ok(kernel)
    }

    /// The release that `LINPMEM_KERNEL` names, whatever its architecture.
    ///
    /// # Errors
    /// When it is not in the cache.
    pub fn chosen(cache: &Cache) -> Result<Option<Self>> {
        match std::env::var(Self::CHOSEN) {
            Ok(release) if !release.is_empty() => Self::find(cache, &release).map(Some),
            _ => Ok(None),
        }
    }

    /// The default: the newest cloud kernel with Rust.
    ///
    /// # Errors
    /// When the set-up has not downloaded it yet.
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

    /// The kernel that was downloaded for `package`.
    ///
    /// # Errors
    /// When it is not in the cache.
    pub fn of_package(cache: &Cache, package: &KernelPackage) -> Result<Self> {
        // The set-up removes older kernels of a package last of all.
        let default = Self::default(cache).ok().into_iter();
        let mut kernels = default.chain(Self::list(cache)?);
        kernels
            .find(|kernel| kernel.facts.package == *package)
            .with_context(|| {
                let KernelPackage { name, suite } = package;
                format!(
                    "{name} of {suite} is not in {}: run `cargo xtask setup --kernel {name}@{suite}`",
                    cache.kernels().display()
                )
            })
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
            let is_partial = name.to_string_lossy().ends_with(".partial");
            if !is_partial
                && entry.file_type()?.is_dir()
                && entry.path().join("kernel.json").is_file()
            {
                kernels.push(Self::read(&entry.path())?);
            }
        }
        kernels.sort_by(|a, b| a.facts.release.cmp(&b.facts.release));
        Ok(kernels)
    }

    fn read(dir: &Path) -> Result<Self> {
        let missing = || format!("no kernel in {}: run `cargo xtask setup`", dir.display());
        let dir = dir.canonicalize().with_context(missing)?;
        let json = fs::read(dir.join("kernel.json")).with_context(missing)?;
        let facts = serde_json::from_slice(&json)
            .with_context(|| format!("{} is damaged", dir.join("kernel.json").display()))?;
        Ok(Self { dir, facts })
    }

    /// As `uname -r` prints it.
    #[must_use]
    pub fn release(&self) -> &str {
        &self.facts.release
    }

    /// The architecture that it runs on.
    #[must_use]
    pub fn arch(&self) -> Arch {
        self.facts.package.arch()
    }

    /// The content of its `kernel.json`.
    #[must_use]
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Whether it has `CONFIG_RUST=y`, so that our module can be built for it.
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

    /// Whether the configuration has this line, such as `CONFIG_RUST=y`.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn is_configured(&self, line: &str) -> Result<bool> {
        let path = self.dir.join("config");
        let config = fs::read_to_string(&path);
        let config = config.with_context(|| format!("reading {}", path.display()))?;
        Ok(config.lines().any(|other| other == line))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_json_names_package_and_suite_side_by_side() {
        let json =
            r#"{"release":"7.3.4","package":"p","version":"7.3.4-1","suite":"sid","rustc":null}"#;
        let facts: Facts = serde_json::from_str(json).unwrap();
        assert_eq!(Ok(facts.package.clone()), "p@sid".parse());
        let value = serde_json::to_value(&facts).unwrap();
        assert_eq!(
            value,
            serde_json::from_str::<serde_json::Value>(json).unwrap()
        );
        assert!("p@".parse::<KernelPackage>().is_err());
    }
}
