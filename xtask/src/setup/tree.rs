// SPDX-License-Identifier: MIT OR Apache-2.0
//! The Debian trees: one with QEMU, file system tools and the compilers of its release;
//! compilers alone, of later releases; QEMU and a cross compiler for arm64; readers of
//! images, for both architectures; programs that sign, and that search; a server; and a system with DKMS.

use super::archive;
use super::task::{Log, task};
use super::{fingerprint, folder, host};
use anyhow::{Context, Result};
use linpmem_testkit::arch::Arch;
use linpmem_testkit::cache::Cache;
use linpmem_testkit::debian_tree::DebianTree;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The release of the main tree. Its compilers also built the kernels of its backports.
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

/// The main tree has these as well.
const MACHINES: &[&str] = &[
    // Virtual machines and their discs.
    "e2fsprogs",
    "ipxe-qemu",
    "qemu-system-data",
    "qemu-system-x86",
    "qemu-utils",
    "seabios",
    // Python packages.
    "ca-certificates",
    "python3-pip",
];

/// Readers of images, and what the tree needs to be entered.
const CONSUMERS: &[&str] = &[
    "base-files",
    "coreutils",
    "crash",
    "gdb",
    "libkdumpfile-utils",
    "makedumpfile",
];

/// Who signs, stamps and decrypts, and checks what we did. The others are what the tree needs to be
/// entered.
const VOUCHERS: &[&str] = &["age", "base-files", "coreutils", "minisign", "openssl"];

/// Those of them that read images of arm64 only as programs of arm64.
const CONSUMERS_ARM64: &[&str] = &["base-files", "coreutils", "crash", "makedumpfile"];

/// Who searches images for text. The others are what the tree needs to be entered.
const SEARCHERS: &[&str] = &["base-files", "binutils", "coreutils", "grep", "yara"];

/// A server, and the tools with which a test machine reaches it. The others are what the tree needs
/// to be entered.
const SERVERS: &[&str] = &["base-files", "busybox-static", "coreutils", "nginx-light"];

/// Releases of Debian that our packages are installed on, with what the tree of each has besides
/// Debian's base: what shows manuals and completions, a compiler for programs that use the library,
/// who judges packages, and a Python.
pub const FRESH: [(&str, &[&str]); 3] = [
    ("bookworm", &["bash-completion", "man-db"]),
    (
        "trixie",
        &["bash-completion", "gcc", "libc6-dev", "man-db", "pkgconf"],
    ),
    (
        "sid",
        &[
            "bash-completion",
            "cpio",
            "lintian",
            "man-db",
            "python3-venv",
            "rpm",
            "rpm2cpio",
            "rpmlint",
        ],
    ),
];

/// A browser without windows, and letters for it. The others are what the tree needs to be entered.
const BROWSER: &[&str] = &[
    "base-files",
    "chromium-headless-shell",
    "coreutils",
    "fonts-dejavu-core",
];

/// A system that builds modules for its kernel, which comes with a version of its own; what is
/// checked with it of `packaging/`; and what shows in a machine who may read the device.
const DKMS: &[&str] = &[
    "dkms",
    "libcap2-bin",
    "openssl",
    "shellcheck",
    "systemd-standalone-sysusers",
    "udev",
];

/// Static programs and test machines for arm64. Debian's rustc is that of Rust 1.85, the
/// oldest that this workspace supports.
const ARM64: &[&str] = &[
    // Cross-building: also what build scripts need, which run here.
    "ca-certificates",
    "cargo",
    "gcc",
    "gcc-aarch64-linux-gnu",
    "libc6-dev",
    "libc6-dev-arm64-cross",
    "libstd-rust-dev:arm64",
    "rustc",
    // What unit tests compare with.
    "zstd",
    // Virtual machines, and programs of arm64 without one.
    "device-tree-compiler",
    "qemu-efi-aarch64",
    "qemu-system-arm",
    "qemu-user",
    // A reader of images of any architecture.
    "gdb-multiarch",
];

const FINGERPRINT: &str = ".linpmem-stamp.json";

/// Manuals and translations, and firmware in files of 64 MiB that is there in 3 MiB as well.
const LEFT_OUT: &[&str] = &[
    "/usr/share/man/*",
    "/usr/share/locale/*",
    "/usr/share/doc/*",
    "/usr/share/info/*",
    "/usr/share/AAVMF/*",
    // No machine boots with the initial file system of a tree.
    "/etc/kernel/postinst.d/initramfs-tools",
];

/// A Debian tree, made or to be made.
#[derive(Clone, Debug)]
pub struct Recipe {
    suite: String,
    /// Debian's names. The first is the tree's own.
    architectures: &'static str,
    dir: PathBuf,
    packages: Vec<String>,
    /// The task that makes it.
    task: String,
    /// mmdebstrap's variant: `extract` unpacks packages without installing them.
    variant: &'static str,
    /// A program that must run in the tree, and how it is asked for its version.
    program: [&'static str; 2],
}

impl Recipe {
    /// The main tree.
    pub fn main(cache: &Cache) -> Self {
        Self {
            suite: SUITE.to_owned(),
            architectures: "amd64",
            dir: cache.tree(),
            packages: owned(&[COMPILERS, MACHINES]),
            task: "root".to_owned(),
            variant: "apt",
            program: ["rustc", "--version"],
        }
    }

    /// The compilers of another release or for another architecture, for the kernels that
    /// they built.
    pub fn compilers(cache: &Cache, suite: &str, arch: Arch) -> Self {
        let (name, more): (String, &[_]) = match arch {
            Arch::X86_64 => (suite.to_owned(), &[]),
            Arch::Aarch64 => (format!("{suite}-arm64"), &["gcc-aarch64-linux-gnu"]),
        };
        Self {
            suite: suite.to_owned(),
            dir: cache.compilers().join(&name),
            packages: owned(&[COMPILERS, more]),
            task: format!("compilers-{name}"),
            ..Self::main(cache)
        }
    }

    /// QEMU and a cross compiler for arm64.
    pub fn arm64(cache: &Cache) -> Self {
        Self {
            architectures: "amd64,arm64",
            dir: cache.arm64(),
            packages: owned(&[ARM64]),
            task: "arm64".to_owned(),
            ..Self::main(cache)
        }
    }

    /// crash, gdb and other readers of images: the newest, as the newest kernels need.
    pub fn consumers(cache: &Cache) -> Self {
        Self {
            suite: "sid".to_owned(),
            dir: cache.consumers(),
            packages: owned(&[CONSUMERS]),
            task: "consumers".to_owned(),
            variant: "extract",
            program: ["crash", "--version"],
            ..Self::main(cache)
        }
    }

    /// minisign, OpenSSL and age.
    pub fn vouchers(cache: &Cache) -> Self {
        Self {
            dir: cache.vouchers(),
            packages: owned(&[VOUCHERS]),
            task: "vouchers".to_owned(),
            variant: "extract",
            program: ["openssl", "version"],
            ..Self::main(cache)
        }
    }

    /// yara, strings and grep.
    pub fn searchers(cache: &Cache) -> Self {
        Self {
            dir: cache.searchers(),
            packages: owned(&[SEARCHERS]),
            task: "searchers".to_owned(),
            variant: "extract",
            program: ["yara", "--version"],
            ..Self::main(cache)
        }
    }

    /// nginx and BusyBox.
    pub fn servers(cache: &Cache) -> Self {
        Self {
            dir: cache.servers(),
            packages: owned(&[SERVERS]),
            task: "servers".to_owned(),
            variant: "extract",
            program: ["nginx", "-v"],
            ..Self::main(cache)
        }
    }

    /// Chromium without windows.
    pub fn browser(cache: &Cache) -> Self {
        Self {
            dir: cache.browser(),
            packages: owned(&[BROWSER]),
            task: "browser".to_owned(),
            variant: "extract",
            program: ["/usr/lib/chromium/chromium-headless-shell", "--version"],
            ..Self::main(cache)
        }
    }

    /// DKMS, with the kernel `release` of the stable release and its headers.
    pub fn dkms(cache: &Cache, release: &str) -> Self {
        let kernel = ["image", "headers"].map(|part| format!("linux-{part}-{release}"));
        Self {
            dir: cache.dkms(),
            packages: [owned(&[DKMS]), kernel.to_vec()].concat(),
            task: "dkms".to_owned(),
            program: ["dkms", "--version"],
            ..Self::main(cache)
        }
    }

    /// A release of Debian with `packages`, as it is installed.
    pub fn fresh(cache: &Cache, suite: &str, packages: &[&'static str]) -> Self {
        Self {
            suite: suite.to_owned(),
            dir: cache.fresh(suite),
            packages: owned(&[packages]),
            task: format!("fresh-{suite}"),
            program: ["dpkg", "--version"],
            ..Self::main(cache)
        }
    }

    /// The trees of [`FRESH`].
    pub fn all_fresh(cache: &Cache) -> impl Iterator<Item = Self> {
        FRESH
            .iter()
            .map(|(suite, packages)| Self::fresh(cache, suite, packages))
    }

    /// crash and makedumpfile for arm64, which QEMU's emulation of single programs runs.
    pub fn consumers_arm64(cache: &Cache) -> Self {
        Self {
            architectures: "arm64",
            dir: cache.consumers_arm64(),
            packages: owned(&[CONSUMERS_ARM64]),
            task: "consumers-arm64".to_owned(),
            ..Self::consumers(cache)
        }
    }

    fn recipe(&self) -> String {
        format!("{}: {}", self.suite, self.packages.join(" "))
    }

    /// Checks that the tree is there. The error says what is wrong.
    pub fn check(&self) -> Result<(), String> {
        fingerprint::check(&self.dir.join(FINGERPRINT), &self.recipe())
    }

    /// Makes the tree.
    pub fn make(&self, cache: &Cache) -> Result<()> {
        host::ready(cache)?;
        let Self {
            suite, task: name, ..
        } = self;
        let what = format!("a Debian tree of {suite} with {}", self.packages.join(", "));
        task(cache, name, &what, |log| {
            let partial = folder::begin(&self.dir)?;
            self.mmdebstrap(log, &partial)?;
            log.run(&mut self.command(cache, &partial)?)?;
            fingerprint::write(&partial.join(FINGERPRINT), &self.recipe(), &[])?;
            folder::finish(&self.dir)
        })
    }

    /// The program that must run in the tree at `dir`.
    fn command(&self, cache: &Cache, dir: &Path) -> Result<Command> {
        let [program, version] = self.program;
        if self.architectures != Arch::Aarch64.debian() {
            let mut command = DebianTree::at(dir, cache).command(program, &[]);
            command.arg(version);
            return Ok(command);
        }
        let emulator = DebianTree::of(Arch::Aarch64, cache)?;
        let mut command = emulator.command(Arch::Aarch64.emulator(), &[]);
        command.arg("-L").arg(dir);
        command.arg(dir.join("usr/bin").join(program)).arg(version);
        Ok(command)
    }

    /// Without being root, mmdebstrap can record the owners of files only in an archive.
    /// They do not matter here: all files become ours when it is unpacked.
    fn mmdebstrap(&self, log: &mut Log, dir: &Path) -> Result<()> {
        let unpack = "set -o pipefail; \"${@:2}\" | \
                      tar --extract --no-same-owner --exclude='./dev/*' --directory \"$1\"";
        let mut command = Command::new("bash");
        command.args(["-c", unpack, "unpack"]).arg(dir);
        command.args(["mmdebstrap", "--format=tar", "--dpkgopt=force-unsafe-io"]);
        command.arg(format!("--variant={}", self.variant));
        command.arg(format!("--architectures={}", self.architectures));
        for left_out in LEFT_OUT {
            command.arg(format!("--dpkgopt=path-exclude={left_out}"));
        }
        command.arg("--aptopt=Acquire::Languages \"none\"");
        for option in archive::network_options().lines() {
            command.arg(format!("--aptopt={option}"));
        }
        command.arg(format!("--include={}", self.packages.join(",")));
        command.args([self.suite.as_str(), "-"]);
        command.args(archive::sources(&self.suite)?);
        log.run(&mut command)
            .with_context(|| format!("cannot make a Debian tree of {}", self.suite))
    }
}

/// The names in `lists`.
fn owned(lists: &[&[&str]]) -> Vec<String> {
    let names = lists.iter().flat_map(|list| list.iter());
    names.map(|&name| name.to_owned()).collect()
}

/// The suite of the compilers for `arch` in the folder `name`, if it has those.
pub fn suite_of_compilers(name: &str, arch: Arch) -> Option<&str> {
    let arm64 = name.strip_suffix("-arm64");
    match arch {
        Arch::X86_64 => arm64.is_none().then_some(name),
        Arch::Aarch64 => arm64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compilers_are_found_by_the_folder_that_they_were_put_in() {
        assert_eq!(suite_of_compilers("sid", Arch::X86_64), Some("sid"));
        assert_eq!(suite_of_compilers("sid", Arch::Aarch64), None);
        assert_eq!(suite_of_compilers("sid-arm64", Arch::Aarch64), Some("sid"));
        assert_eq!(suite_of_compilers("sid-arm64", Arch::X86_64), None);
    }
}
