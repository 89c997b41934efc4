// SPDX-License-Identifier: MIT OR Apache-2.0
//! Debian trees: the workshop's own, with QEMU, the file system tools and the
//! compilers of its release; and compilers alone, of later releases.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::folder;
use super::host::Bootstrap;
use super::mirror::{Mirrors, apt_options};
use super::stamp::Stamp;
use super::step::{Log, step};
use crate::cache::Cache;
use crate::root::Root;

/// The release of the workshop's tree. Its compilers built the kernels of its
/// backports.
pub const SUITE: &str = "trixie";

/// Kbuild, for C and for Rust.
const COMPILERS: &[&str] = &[
    "bc",
    "bindgen",
    "binutils",
    "bison",
    "clang",
    "cpio",
    "flex",
    "gcc",
    "kmod",
    "libc6-dev",
    "libdw-dev",
    "libelf-dev",
    "libssl-dev",
    "lld",
    "llvm",
    "make",
    "pahole",
    "python3",
    "rsync",
    "rust-src",
    "rustc",
    "rustfmt",
    "xz-utils",
    "zlib1g-dev",
    "zstd",
];

/// What the workshop has beside compilers.
const WORKSHOP: &[&str] = &[
    // Virtual machines and their discs.
    "e2fsprogs",
    "ipxe-qemu",
    "qemu-system-data",
    "qemu-system-x86",
    "qemu-utils",
    "seabios",
    // Consumers of images.
    "ca-certificates",
    "python3-pip",
];

/// Programs without which no module can be built.
const BUILDING: &[&str] = &[
    "usr/bin/apt-get",
    "usr/bin/bindgen",
    "usr/bin/gcc",
    "usr/bin/make",
    "usr/bin/python3",
    "usr/bin/rustc",
];

/// Programs without which the workshop is of no use.
const WORKING: &[&str] = &[
    "usr/bin/qemu-system-x86_64",
    "usr/sbin/mke2fs",
    "usr/share/seabios/bios-256k.bin",
];

const TREES: &[&str] = &[
    "usr/bin",
    "usr/sbin",
    "usr/libexec",
    "usr/lib/x86_64-linux-gnu",
];

const STAMP: &str = ".linpmem-stamp.json";

/// Manuals and translations, which nobody reads here.
const LEFT_OUT: &[&str] = &[
    "/usr/share/man/*",
    "/usr/share/locale/*",
    "/usr/share/doc/*",
    "/usr/share/info/*",
];

/// A Debian tree, made or to be made.
#[derive(Clone, Debug)]
pub struct Tree {
    suite: String,
    dir: PathBuf,
    packages: Vec<&'static str>,
    programs: Vec<&'static str>,
    /// The step that makes it, and its log.
    step: String,
    contents: &'static str,
}

impl Tree {
    /// The workshop's own.
    #[must_use]
    pub fn workshop(cache: &Cache) -> Self {
        Self {
            suite: SUITE.to_owned(),
            dir: cache.root(),
            packages: [COMPILERS, WORKSHOP].concat(),
            programs: [BUILDING, WORKING].concat(),
            step: "root".to_owned(),
            contents: "compilers and QEMU",
        }
    }

    /// The compilers of another release, for the kernels that they built.
    #[must_use]
    pub fn compilers(cache: &Cache, suite: &str) -> Self {
        Self {
            suite: suite.to_owned(),
            dir: cache.compilers().join(suite),
            packages: COMPILERS.to_vec(),
            programs: BUILDING.to_vec(),
            step: format!("compilers-{suite}"),
            contents: "compilers",
        }
    }

    fn recipe(&self) -> String {
        format!("{}: {}", self.suite, self.packages.join(" "))
    }

    /// Whether the tree is there and whole.
    ///
    /// # Errors
    /// What is the matter with it.
    pub fn check(&self) -> Result<(), String> {
        let stamp = Stamp::read(&self.dir.join(STAMP)).ok_or("missing or unfinished")?;
        stamp.check(&self.dir, &stamp.recipe)?;
        let has: BTreeSet<&str> = stamp.recipe.split([':', ' ']).collect();
        let wanted = self.packages.iter().copied();
        let lacking: Vec<&str> = wanted.filter(|name| !has.contains(name)).collect();
        if lacking.is_empty() && has.contains(self.suite.as_str()) {
            return Ok(());
        }
        Err(format!("it lacks {}", lacking.join(", ")))
    }

    /// Makes the tree.
    ///
    /// # Errors
    /// When packages cannot be fetched or installed.
    pub fn make(&self, cache: &Cache, mirrors: &Mirrors, bootstrap: Bootstrap) -> Result<()> {
        let Self {
            suite, contents, ..
        } = self;
        let what = format!("a Debian {suite} tree with {contents} (about 2 minutes)");
        step(cache, &self.step, &what, |log| {
            let partial = folder::begin(&self.dir)?;
            match bootstrap {
                Bootstrap::Mmdebstrap => self.mmdebstrap(log, mirrors, &partial)?,
                Bootstrap::Debootstrap => self.debootstrap(log, cache, mirrors, &partial)?,
            }
            let root = Root::at(&partial, cache);
            let version = log.output(root.command("rustc", &[]).arg("--version"))?;
            log.say(version.trim());
            let stamp = Stamp::take(&partial, &self.recipe(), &self.programs, TREES)?;
            stamp.write(&partial.join(STAMP))?;
            folder::finish(&self.dir)
        })
    }

    fn mmdebstrap(&self, log: &mut Log, mirrors: &Mirrors, tree: &Path) -> Result<()> {
        let is_root = rustix::process::geteuid().is_root();
        // Without being root, only an archive can hold the owners of files. They
        // are of no interest here: all files become ours when it is unpacked.
        let tar = tree.join("tree.tar");
        let mut command = Command::new("mmdebstrap");
        command.args([
            "--variant=apt",
            "--components=main",
            "--aptopt=Acquire::Languages \"none\"",
        ]);
        command.arg(if is_root {
            "--mode=root"
        } else {
            "--mode=unshare"
        });
        command.arg("--dpkgopt=force-unsafe-io");
        for left_out in LEFT_OUT {
            command.arg(format!("--dpkgopt=path-exclude={left_out}"));
        }
        for option in apt_options().lines() {
            command.arg(format!("--aptopt={option}"));
        }
        command.arg(format!("--include={}", self.packages.join(",")));
        command
            .arg(&self.suite)
            .arg(if is_root { tree } else { &tar })
            .args(mirrors.lines(&self.suite));
        log.run(&mut command)
            .with_context(|| format!("cannot make a tree from {}", mirrors.archive))?;
        if !is_root {
            let mut unpack = Command::new("tar");
            unpack
                .arg("--extract")
                .arg("--file")
                .arg(&tar)
                .arg("--directory")
                .arg(tree);
            log.run(unpack.args(["--no-same-owner", "--exclude=./dev/*"]))?;
            fs::remove_file(&tar).with_context(|| format!("cannot remove {}", tar.display()))?;
        }
        Ok(())
    }

    fn debootstrap(
        &self,
        log: &mut Log,
        cache: &Cache,
        mirrors: &Mirrors,
        tree: &Path,
    ) -> Result<()> {
        let mut command = Command::new("debootstrap");
        command
            .args(["--variant=minbase", &self.suite])
            .arg(tree)
            .arg(&mirrors.archive);
        log.run(&mut command)
            .with_context(|| format!("cannot make a tree from {}", mirrors.archive))?;
        let etc = tree.join("etc");
        let excluded = LEFT_OUT.iter().map(|path| format!("path-exclude={path}\n"));
        let files = [
            (
                "apt/sources.list",
                mirrors.lines(&self.suite).join("\n") + "\n",
            ),
            ("apt/apt.conf.d/99network", apt_options()),
            (
                "dpkg/dpkg.cfg.d/99linpmem",
                excluded.chain(["force-unsafe-io\n".to_owned()]).collect(),
            ),
        ];
        for (name, text) in files {
            let path = etc.join(name);
            fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        }
        let root = Root::at(tree, cache);
        log.run(root.command("apt-get", &[]).arg("update"))?;
        let mut install = root.command("apt-get", &[]);
        install
            .args(["install", "--yes", "--no-install-recommends"])
            .args(&self.packages);
        log.run(install.env("DEBIAN_FRONTEND", "noninteractive"))?;
        log.run(root.command("apt-get", &[]).arg("clean"))
    }
}
