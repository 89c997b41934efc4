// SPDX-License-Identifier: MIT OR Apache-2.0
//! Python packages: the consumers of images (drgn, pyaff4, Volatility 3, LeechCore),
//! and hatchling, which builds our own package.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::folder;
use super::stamp::Stamp;
use super::step::step;
use crate::cache::Cache;
use crate::root::Root;

/// Packages that are installed together, in a folder of their own.
#[derive(Debug)]
pub struct Packages {
    /// The step's name.
    name: &'static str,
    folder: fn(&Cache) -> PathBuf,
    /// What pip is asked for, with all that it needs.
    whole: &'static [&'static str],
    /// What pip is asked for without what it says that it needs.
    alone: &'static [&'static str],
    /// Modules that are named by others and not needed: empty files.
    empty: &'static [&'static str],
    /// What has to import.
    import: &'static str,
    /// Folders that the stamp measures.
    trees: &'static [&'static str],
}

/// drgn.
pub const DRGN: Packages = Packages {
    name: "python",
    folder: Cache::python,
    whole: &["drgn"],
    alone: &[],
    empty: &[],
    import: "import drgn",
    trees: &["drgn"],
};

/// pyaff4. Its own list of needs pins versions that this python3 does not have,
/// and fastchunking, which does not build and which only logical images use.
/// CryptoPlus takes `pkg_resources` from setuptools, which dropped it in version 81.
pub const PYAFF4: Packages = Packages {
    name: "pyaff4",
    folder: Cache::pyaff4,
    whole: &[
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
    alone: &["pyaff4==0.34", "pycryptoplus", "aes-keywrap"],
    empty: &["fastchunking.py"],
    import: "from pyaff4 import block_hasher, container, lexicon",
    trees: &["pyaff4", "rdflib", "Crypto", "CryptoPlus", "lz4", "snappy"],
};

/// Volatility 3, and LeechCore. Without jsonschema, which it does not ask for:
/// with it Volatility checks each file of symbols for minutes.
pub const VOLATILITY: Packages = Packages {
    name: "volatility",
    folder: Cache::volatility,
    whole: &["volatility3", "leechcorepyc"],
    alone: &[],
    empty: &[],
    import: "import volatility3.cli, leechcorepyc",
    trees: &["volatility3", "leechcorepyc"],
};

/// hatchling, the build backend of driver/python. With it in the cache, pip builds
/// that package without a network.
pub const HATCHLING: Packages = Packages {
    name: "hatchling",
    folder: Cache::hatchling,
    whole: &["hatchling"],
    alone: &[],
    empty: &[],
    import: "import hatchling.build",
    trees: &[
        "hatchling",
        "packaging",
        "pathspec",
        "pluggy",
        "trove_classifiers",
    ],
};

const STAMP: &str = ".stamp.json";

impl Packages {
    /// Whether the packages are there.
    ///
    /// # Errors
    /// What is the matter with them.
    pub fn check(&self, cache: &Cache) -> Result<(), String> {
        let dir = (self.folder)(cache);
        let stamp = Stamp::read(&dir.join(STAMP)).ok_or("missing or unfinished")?;
        stamp.check(&dir, &self.recipe())
    }

    /// Installs the packages for the tree's `python3`.
    ///
    /// # Errors
    /// When pip cannot fetch them, or they do not work.
    pub fn make(&self, cache: &Cache) -> Result<()> {
        let asked = self.alone.iter().chain(self.whole).next();
        let what = format!("{} for the tree's python3", asked.unwrap_or(&self.name));
        step(cache, self.name, &what, |log| {
            let dir = (self.folder)(cache);
            let partial = folder::begin(&dir)?;
            let root = Root::open(cache)?;
            log.run(pip(&root, &partial).args(self.whole))?;
            if !self.alone.is_empty() {
                log.run(pip(&root, &partial).arg("--no-deps").args(self.alone))?;
            }
            for name in self.empty {
                let path = partial.join(name);
                fs::write(&path, "").with_context(|| format!("cannot write {}", path.display()))?;
            }
            let mut import = root.command("python3", &[]);
            import.args(["-c", self.import]).env("PYTHONPATH", &partial);
            log.run(import.env("PYTHONWARNINGS", "ignore"))?;
            Stamp::take(&partial, &self.recipe(), self.empty, self.trees)?
                .write(&partial.join(STAMP))?;
            folder::finish(&dir)
        })
    }

    fn recipe(&self) -> String {
        let parts = [self.whole, self.alone, self.empty];
        parts.concat().join(" ")
    }
}

fn pip(root: &Root, target: &Path) -> std::process::Command {
    let mut pip = root.command("python3", &[]);
    pip.args([
        "-m",
        "pip",
        "install",
        "--no-cache-dir",
        "--root-user-action=ignore",
        "--disable-pip-version-check",
        "--target",
    ]);
    pip.arg(target);
    pip
}
