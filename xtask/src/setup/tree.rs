// SPDX-License-Identifier: MIT OR Apache-2.0
//! The Debian tree: the compilers that stock kernels were built with, QEMU,
//! and the file system tools.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::folder;
use super::host::Bootstrap;
use super::mirror::{Mirrors, apt_options};
use super::stamp::Stamp;
use super::step::{Log, step};
use crate::cache::Cache;
use crate::root::Root;

/// The release whose compilers built the kernels.
pub const SUITE: &str = "trixie";

const PACKAGES: &[&str] = &[
    // Kbuild, for C and for Rust.
    "bc",
    "bindgen",
    "binutils",
    "bison",
    "clang",
    "cpio",
    "flex",
    "gcc",
    "gcc-14",
    "kmod",
    "libc6-dev",
    "libdw-dev",
    "libelf-dev",
    "libssl-dev",
    "lld",
    "llvm",
    "make",
    "pahole",
    "rsync",
    "rust-src",
    "rustc",
    "rustfmt",
    "xz-utils",
    "zlib1g-dev",
    "zstd",
    // Virtual machines and their discs.
    "e2fsprogs",
    "ipxe-qemu",
    "qemu-system-data",
    "qemu-system-x86",
    "qemu-utils",
    "seabios",
    // Consumers of images.
    "ca-certificates",
    "python3",
    "python3-pip",
];

/// Programs without which the tree is of no use.
const PROGRAMS: &[&str] = &[
    "usr/bin/apt-get",
    "usr/bin/bindgen",
    "usr/bin/gcc",
    "usr/bin/make",
    "usr/bin/python3",
    "usr/bin/qemu-system-x86_64",
    "usr/bin/rustc",
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

fn recipe() -> String {
    format!("{SUITE}: {}", PACKAGES.join(" "))
}

/// Whether the tree is there and whole.
///
/// # Errors
/// What is the matter with it.
pub fn check(cache: &Cache) -> Result<(), String> {
    let root = cache.root();
    let stamp = Stamp::read(&root.join(STAMP)).ok_or("missing or unfinished")?;
    stamp.check(&root, &recipe())
}

/// Makes the tree.
///
/// # Errors
/// When packages cannot be fetched or installed.
pub fn make(cache: &Cache, mirrors: &Mirrors, bootstrap: Bootstrap) -> Result<()> {
    let what = format!("a Debian {SUITE} tree with compilers and QEMU (about 2 minutes)");
    step(cache, "root", &what, |log| {
        let partial = folder::begin(&cache.root())?;
        match bootstrap {
            Bootstrap::Mmdebstrap => mmdebstrap(log, mirrors, &partial)?,
            Bootstrap::Debootstrap => debootstrap(log, cache, mirrors, &partial)?,
        }
        let root = Root::at(&partial, cache);
        let version = log.output(root.command("qemu-system-x86_64", &[]).arg("--version"))?;
        log.say(version.trim());
        Stamp::take(&partial, &recipe(), PROGRAMS, TREES)?.write(&partial.join(STAMP))?;
        folder::finish(&cache.root())
    })
}

fn mmdebstrap(log: &mut Log, mirrors: &Mirrors, tree: &Path) -> Result<()> {
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
    command.arg(format!("--include={}", PACKAGES.join(",")));
    command
        .arg(SUITE)
        .arg(if is_root { tree } else { &tar })
        .args(mirrors.lines(SUITE));
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

fn debootstrap(log: &mut Log, cache: &Cache, mirrors: &Mirrors, tree: &Path) -> Result<()> {
    let mut command = Command::new("debootstrap");
    command
        .args(["--variant=minbase", SUITE])
        .arg(tree)
        .arg(&mirrors.archive);
    log.run(&mut command)
        .with_context(|| format!("cannot make a tree from {}", mirrors.archive))?;
    let etc = tree.join("etc");
    let excluded = LEFT_OUT.iter().map(|path| format!("path-exclude={path}\n"));
    let files = [
        ("apt/sources.list", mirrors.lines(SUITE).join("\n") + "\n"),
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
        .args(PACKAGES);
    log.run(install.env("DEBIAN_FRONTEND", "noninteractive"))?;
    log.run(root.command("apt-get", &[]).arg("clean"))
}
