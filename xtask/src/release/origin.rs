// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a release is made from, and by what: `provenance.json`.

use super::item::read;
use crate::setup::{self, Part};
use anyhow::{Context, Result, ensure};
use linpmem_testkit::arch::Arch;
use linpmem_testkit::cache::Cache;
use linpmem_testkit::checkout;
use linpmem_testkit::debian_tree::DebianTree;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use std::env;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

/// The variable that says which time stands in all that is packed.
const EPOCH_VARIABLE: &str = "SOURCE_DATE_EPOCH";

/// The commit that is released.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Origin {
    /// Its hash.
    pub commit: String,
    /// Whether the checkout has nothing that the commit has not.
    pub is_clean: bool,
    /// The time that stands in all that is packed, in seconds: that of the commit.
    pub source_date_epoch: u64,
    /// Of the versions of all crates.
    pub cargo_lock_sha256: String,
    /// Whom the packages name.
    pub maintainer: String,
}

/// Whom packages name if nobody is given. Such an address is nobody's (RFC 6761).
pub const NOBODY: &str = "The linpmem developers <nobody@linpmem.invalid>";

/// What compiled the programs of an architecture.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Compiler {
    /// Rust's name for the architecture.
    pub target: &'static str,
    /// What `rustc --version` says.
    pub rustc: String,
    /// What `cargo --version` says.
    pub cargo: String,
    /// What the C compiler says of itself, which also links.
    pub cc: String,
    /// What `getconf GNU_LIBC_VERSION` says: the library that programs are linked with.
    pub libc: String,
}

/// `provenance.json`.
#[derive(Debug, Serialize)]
struct Provenance<'a> {
    format: &'static str,
    version: u32,
    linpmem: &'static str,
    #[serde(flatten)]
    origin: &'a Origin,
    builds: &'a [Compiler],
    /// What compiled the module that programs for x86-64 carry.
    module_rustc: &'a str,
    /// What packed the Debian packages.
    dpkg_deb: &'a str,
}

impl Origin {
    /// The commit that is checked out, whose packages name `maintainer`.
    pub fn find(maintainer: &str) -> Result<Self> {
        let git =
            |args: &[&str]| output(Command::new("git").current_dir(checkout::dir()).args(args));
        let not_git = "a release is made from a git checkout, which names its commit";
        let commit = git(&["rev-parse", "HEAD"]).context(not_git)?;
        let time = match env::var(EPOCH_VARIABLE) {
            Ok(time) if !time.is_empty() => time,
            _ => git(&["show", "--no-patch", "--format=%ct", "HEAD"])?,
        };
        let source_date_epoch = time
            .parse()
            .with_context(|| format!("{EPOCH_VARIABLE}={time} is no number of seconds"))?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        ensure!(
            source_date_epoch <= now,
            "the time of what is released, {source_date_epoch}, is in the future: set this \
             machine's clock, or {EPOCH_VARIABLE}"
        );
        let lock = read(&checkout::dir().join("Cargo.lock"))?;
        Ok(Self {
            commit,
            is_clean: git(&["status", "--porcelain"])?.is_empty(),
            source_date_epoch,
            cargo_lock_sha256: sha256(&lock),
            maintainer: maintainer.to_owned(),
        })
    }

    /// The files of the commit, as an archive that is not compressed.
    pub fn source(&self, top: &str) -> Result<Vec<u8>> {
        let output = Command::new("git")
            .current_dir(checkout::dir())
            .args(["archive", "--format=tar", &format!("--prefix={top}/")])
            .arg(&self.commit)
            .output()
            .context("cannot start git")?;
        ensure!(
            output.status.success(),
            "git archive failed: {}",
            String::from_utf8_lossy(&output.stderr).trim_end()
        );
        Ok(output.stdout)
    }

    /// The content of `provenance.json`.
    pub fn provenance(&self, builds: &[Compiler]) -> Result<String> {
        let tree = tree(Arch::HOST)?;
        let provenance = Provenance {
            format: "linpmem-provenance",
            version: 1,
            linpmem: env!("CARGO_PKG_VERSION"),
            origin: self,
            builds,
            module_rustc: &first_line(tree.command("rustc", &[]).arg("--version"))?,
            dpkg_deb: &first_line(tree.command("dpkg-deb", &[]).arg("--version"))?,
        };
        Ok(serde_json::to_string_pretty(&provenance)? + "\n")
    }
}

impl Compiler {
    /// What compiles programs for `arch`.
    pub fn of(arch: Arch) -> Result<Self> {
        let tree = match arch {
            Arch::HOST => None,
            other => Some(tree(other)?),
        };
        let ask = |program: &str, question: &[&str]| {
            let mut command = match &tree {
                Some(tree) => tree.command(program, &[]),
                None => Command::new(program),
            };
            first_line(command.args(question))
        };
        let cc = match arch {
            Arch::HOST => "cc".to_owned(),
            other => format!("{}-linux-gnu-gcc", other.name()),
        };
        Ok(Self {
            target: arch.target(),
            rustc: ask("rustc", &["--version"])?,
            cargo: ask("cargo", &["--version"])?,
            cc: ask(&cc, &["--version"])?,
            libc: ask("getconf", &["GNU_LIBC_VERSION"])?,
        })
    }
}

fn tree(arch: Arch) -> Result<DebianTree> {
    let cache = Cache::open()?;
    let part = match arch {
        Arch::X86_64 => Part::Tree,
        Arch::Aarch64 => Part::Arm64Tree,
    };
    setup::ensure(&cache, &[part])?;
    DebianTree::of(arch, &cache)
}

/// SHA-256 in hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    linpmem_phys::hex::encode(&Sha256::digest(bytes))
}

fn first_line(command: &mut Command) -> Result<String> {
    let text = output(command)?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

/// What `command` prints, without blanks at the end.
pub fn output(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .output()
        .with_context(|| format!("cannot start {program}"))?;
    ensure!(
        output.status.success(),
        "{program} failed ({}): {}",
        output.status,
        String::from_utf8_lossy(&output.stderr).trim_end()
    );
    Ok(String::from_utf8(output.stdout)?.trim_end().to_owned())
}
