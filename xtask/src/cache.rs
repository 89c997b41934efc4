// SPDX-License-Identifier: MIT OR Apache-2.0
//! The one folder that holds all that was fetched or built once.
//!
//! ```text
//! root/             a Debian tree: compilers, QEMU, e2fsprogs, python3
//! compilers/SUITE/  compilers of later releases, for the kernels that they built
//! kernels/RELEASE/  vmlinuz, config, System.map, modules/, vmlinux, kernel.json
//! kernels/default   a link to the kernel that tests use
//! kdirs/RELEASE/    kernel build folder with the rust/ metadata
//! sources/RELEASE/  the kernel sources it was built from
//! python/           drgn, for the root's python3
//! pyaff4/           pyaff4, for the same
//! volatility/       Volatility 3 and LeechCore, for the same
//! hatchling/        hatchling, which builds the Python package
//! tools/bin/        cargo-deny
//! dependencies/     what cargo made of the crates of others
//! apt/SUITE/        package lists
//! logs/STEP.log     what each step of the set-up said last
//! ```

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// The cache folder.
#[derive(Clone, Debug)]
pub struct Cache {
    dir: PathBuf,
}

impl Cache {
    /// The cache of this user: `LINPMEM_CACHE`, else `linpmem` in
    /// `XDG_CACHE_HOME` or in `~/.cache`. Made when missing.
    ///
    /// # Errors
    /// When no folder can be named or made.
    pub fn open() -> Result<Self> {
        let set = |name| {
            env::var_os(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        let dir = if let Some(dir) = set("LINPMEM_CACHE") {
            dir
        } else if let Some(caches) = set("XDG_CACHE_HOME").filter(|dir| dir.is_absolute()) {
            caches.join("linpmem")
        } else if let Some(home) = set("HOME") {
            home.join(".cache/linpmem")
        } else {
            bail!("no folder for the cache: set HOME or LINPMEM_CACHE");
        };
        Self::at(&dir)
    }

    /// The cache in `dir`, made when missing.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn at(dir: &Path) -> Result<Self> {
        fs::create_dir_all(dir)
            .with_context(|| format!("cannot make the cache folder {}", dir.display()))?;
        let dir = dir
            .canonicalize()
            .with_context(|| format!("cannot open the cache folder {}", dir.display()))?;
        Ok(Self { dir })
    }

    /// The folder itself, absolute.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The Debian tree.
    #[must_use]
    pub fn root(&self) -> PathBuf {
        self.dir.join("root")
    }

    /// Compilers of other releases than the tree's, a folder for each suite.
    #[must_use]
    pub fn compilers(&self) -> PathBuf {
        self.dir.join("compilers")
    }

    /// Kernels, a folder for each release.
    #[must_use]
    pub fn kernels(&self) -> PathBuf {
        self.dir.join("kernels")
    }

    /// The kernel build folder of `release`.
    #[must_use]
    pub fn kdir(&self, release: &str) -> PathBuf {
        self.dir.join("kdirs").join(release)
    }

    /// The kernel sources that `release`'s build folder refers to.
    #[must_use]
    pub fn source(&self, release: &str) -> PathBuf {
        self.dir.join("sources").join(release)
    }

    /// Python packages for the root's `python3`: a `PYTHONPATH`.
    #[must_use]
    pub fn python(&self) -> PathBuf {
        self.dir.join("python")
    }

    /// pyaff4 for the root's `python3`, apart from the others: a `PYTHONPATH`.
    #[must_use]
    pub fn pyaff4(&self) -> PathBuf {
        self.dir.join("pyaff4")
    }

    /// Volatility 3 and LeechCore, for the same: a `PYTHONPATH`.
    #[must_use]
    pub fn volatility(&self) -> PathBuf {
        self.dir.join("volatility")
    }

    /// hatchling, for the same: a `PYTHONPATH`.
    #[must_use]
    pub fn hatchling(&self) -> PathBuf {
        self.dir.join("hatchling")
    }

    /// crash, gdb and other consumers of images: a Debian tree of their own.
    #[must_use]
    pub fn consumers(&self) -> PathBuf {
        self.dir.join("consumers")
    }

    /// Tools built with cargo.
    #[must_use]
    pub fn tools(&self) -> PathBuf {
        self.dir.join("tools")
    }

    /// What cargo made of the crates of others: the part of a target folder that is
    /// the same for every clone.
    #[must_use]
    pub fn dependencies(&self) -> PathBuf {
        self.dir.join("dependencies")
    }

    /// The log of one step.
    #[must_use]
    pub fn log(&self, step: &str) -> PathBuf {
        self.dir.join("logs").join(format!("{step}.log"))
    }
}
