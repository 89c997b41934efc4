// SPDX-License-Identifier: MIT OR Apache-2.0
//! minisign, OpenSSL and age, which sign, stamp and encrypt what we check, and check what we signed,
//! had stamped and encrypted. They are run from a Debian tree by its own loader, without being root.

use crate::cache::Cache;
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The tree with these programs.
#[derive(Clone, Debug)]
pub struct Vouchers {
    dir: PathBuf,
}

impl Vouchers {
    /// Opens it.
    ///
    /// # Errors
    /// When the set-up has not made it yet.
    pub fn open() -> Result<Self> {
        let dir = Cache::open()?.vouchers();
        for program in ["age", "minisign"] {
            ensure!(
                dir.join("usr/bin").join(program).exists(),
                "no {program} in {}: run `cargo xtask setup`",
                dir.display()
            );
        }
        Ok(Self { dir })
    }

    /// A command that runs minisign.
    #[must_use]
    pub fn minisign(&self) -> Command {
        self.command("minisign")
    }

    /// A command that runs age.
    #[must_use]
    pub fn age(&self) -> Command {
        self.command("age")
    }

    /// A command that runs age-keygen.
    #[must_use]
    pub fn age_keygen(&self) -> Command {
        self.command("age-keygen")
    }

    /// A command that runs OpenSSL, without a configuration of the machine's.
    #[must_use]
    pub fn openssl(&self) -> Command {
        let mut command = self.command("openssl");
        command.env("OPENSSL_CONF", "/dev/null");
        command
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.dir.join("lib64/ld-linux-x86-64.so.2"));
        command.arg("--library-path");
        command.arg(self.dir.join("usr/lib/x86_64-linux-gnu"));
        command.arg(self.dir.join("usr/bin").join(program));
        command
    }
}

/// A pair of keys, made by age.
#[derive(Clone, Debug)]
pub struct AgeKey {
    /// The file with the private key.
    pub file: PathBuf,
    /// The public key.
    pub public: String,
}

impl AgeKey {
    /// Makes a pair, whose private key is a new file in `folder`.
    ///
    /// # Errors
    /// When age cannot.
    pub fn new(vouchers: &Vouchers, folder: &Path) -> Result<Self> {
        let file = folder.join("key");
        let made = vouchers.age_keygen().arg("-o").arg(&file).output()?;
        ensure!(made.status.success(), "age-keygen: {made:?}");
        let text = fs::read_to_string(&file)?;
        let mut lines = text.lines();
        let public = lines.find_map(|line| line.strip_prefix("# public key: "));
        let public = public.context("no public key")?.to_owned();
        Ok(Self { file, public })
    }
}
