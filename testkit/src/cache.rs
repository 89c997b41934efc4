// SPDX-License-Identifier: MIT OR Apache-2.0
//! The one folder that holds everything that was downloaded or built once.
//!
//! ```text
//! root/             a Debian tree: compilers, QEMU, e2fsprogs, python3
//! arm64/            a Debian tree with QEMU and a cross compiler for arm64
//! compilers/SUITE/  compilers of later releases, for the kernels they built
//! consumers/        a Debian tree with crash, gdb and other readers of images
//! consumers-arm64/  crash and makedumpfile for arm64, whose images no others read
//! vouchers/         a Debian tree with minisign, OpenSSL and age
//! searchers/        a Debian tree with yara, strings and grep
//! servers/          a Debian tree with nginx and BusyBox
//! browser/          a Debian tree with a browser that has no windows
//! fresh/SUITE/      Debian trees into copies of which packages are installed
//! dkms/             a Debian tree with DKMS, the stable kernel and its headers
//! kernels/RELEASE/  vmlinuz, config, System.map, modules/, vmlinux, kernel.json
//! kernels/default   a link to the kernel that tests use
//! kdirs/RELEASE/    kernel build folder with the rust/ metadata
//! sources/RELEASE/  the kernel source that folder refers to
//! python/           drgn, for the tree's python3
//! pyaff4/           pyaff4, likewise
//! volatility/       Volatility 3 and LeechCore, likewise
//! hatchling/        hatchling, likewise; it builds the Python package
//! judges/           auditwheel and CycloneDX's library, likewise; they check releases
//! tools/            cargo-deny and AVML
//! target/           cargo's target folder for continuous integration
//! apt/SUITE/        package lists
//! logs/TASK.log     the output of each task of the set-up, from its last run
//! ```

use anyhow::{Context, Result, bail};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

/// The cache folder.
#[derive(Clone, Debug)]
pub struct Cache {
    dir: PathBuf,
}

impl Cache {
    /// This user's cache: `LINPMEM_CACHE`, else `linpmem` in `XDG_CACHE_HOME` or in
    /// `~/.cache`. Created if it does not exist.
    ///
    /// # Errors
    /// When no folder can be named or created.
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
        let context = || format!("cannot open the cache folder {}", dir.display());
        fs::create_dir_all(&dir).with_context(context)?;
        let dir = dir.canonicalize().with_context(context)?;
        Ok(Self { dir })
    }

    /// The folder itself, absolute.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The Debian tree that has compilers and QEMU.
    #[must_use]
    pub fn tree(&self) -> PathBuf {
        self.dir.join("root")
    }

    /// The Debian tree that has QEMU and a cross compiler for arm64.
    #[must_use]
    pub fn arm64(&self) -> PathBuf {
        self.dir.join("arm64")
    }

    /// Trees with the compilers of other releases, a folder a suite.
    #[must_use]
    pub fn compilers(&self) -> PathBuf {
        self.dir.join("compilers")
    }

    /// The Debian tree that has crash, gdb and other readers of images.
    #[must_use]
    pub fn consumers(&self) -> PathBuf {
        self.dir.join("consumers")
    }

    /// The Debian tree that has crash and makedumpfile as programs of arm64: those of another
    /// architecture do not read its images.
    #[must_use]
    pub fn consumers_arm64(&self) -> PathBuf {
        self.dir.join("consumers-arm64")
    }

    /// The Debian tree that has minisign and OpenSSL.
    #[must_use]
    pub fn vouchers(&self) -> PathBuf {
        self.dir.join("vouchers")
    }

    /// The Debian tree that has yara, strings and grep.
    #[must_use]
    pub fn searchers(&self) -> PathBuf {
        self.dir.join("searchers")
    }

    /// The Debian tree that has a browser without windows.
    #[must_use]
    pub fn browser(&self) -> PathBuf {
        self.dir.join("browser")
    }

    /// The Debian tree that has nginx and BusyBox.
    #[must_use]
    pub fn servers(&self) -> PathBuf {
        self.dir.join("servers")
    }

    /// The Debian tree of `suite` into copies of which our packages are installed.
    #[must_use]
    pub fn fresh(&self, suite: &str) -> PathBuf {
        self.dir.join("fresh").join(suite)
    }

    /// The Debian tree that has DKMS, the stable kernel and its headers.
    #[must_use]
    pub fn dkms(&self) -> PathBuf {
        self.dir.join("dkms")
    }

    /// Kernels, a folder a release.
    #[must_use]
    pub fn kernels(&self) -> PathBuf {
        self.dir.join("kernels")
    }

    /// The kernel build folder of `release`.
    #[must_use]
    pub fn kdir(&self, release: &str) -> PathBuf {
        self.dir.join("kdirs").join(release)
    }

    /// The kernel source that `release`'s build folder refers to.
    #[must_use]
    pub fn source(&self, release: &str) -> PathBuf {
        self.dir.join("sources").join(release)
    }

    /// drgn: a `PYTHONPATH` for the tree's `python3`.
    #[must_use]
    pub fn drgn(&self) -> PathBuf {
        self.dir.join("python")
    }

    /// pyaff4: a `PYTHONPATH` for the tree's `python3`.
    #[must_use]
    pub fn pyaff4(&self) -> PathBuf {
        self.dir.join("pyaff4")
    }

    /// Volatility 3 and LeechCore: a `PYTHONPATH` for the tree's `python3`.
    #[must_use]
    pub fn volatility(&self) -> PathBuf {
        self.dir.join("volatility")
    }

    /// hatchling: a `PYTHONPATH` for the tree's `python3`.
    #[must_use]
    pub fn hatchling(&self) -> PathBuf {
        self.dir.join("hatchling")
    }

    /// auditwheel and CycloneDX's library: a `PYTHONPATH` for the tree's `python3`.
    #[must_use]
    pub fn judges(&self) -> PathBuf {
        self.dir.join("judges")
    }

    /// Servers that keep objects, and Node.js: a `PYTHONPATH` for the tree's `python3`.
    #[must_use]
    pub fn stores(&self) -> PathBuf {
        self.dir.join("stores")
    }

    /// Azurite, with what it needs.
    #[must_use]
    pub fn azurite(&self) -> PathBuf {
        self.dir.join("azurite")
    }

    /// Tools that cargo built.
    #[must_use]
    pub fn tools(&self) -> PathBuf {
        self.dir.join("tools")
    }
}
