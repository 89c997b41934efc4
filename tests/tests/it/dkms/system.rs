// SPDX-License-Identifier: MIT OR Apache-2.0
//! A system with DKMS, in which the files of the package are installed.

use anyhow::{Context, Result, ensure};
use linpmem_testkit::arch::Arch;
use linpmem_testkit::artifacts;
use linpmem_testkit::cache::Cache;
use linpmem_testkit::checkout;
use linpmem_testkit::debian_tree::DebianTree;
use linpmem_testkit::kernel::{Kernel, KernelPackage};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use tempfile::TempDir;

/// The version of the package, which is that of these tests.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The Debian tree, with what a test changes in it.
pub struct System {
    tree: DebianTree,
    changes: TempDir,
    /// Its kernel, which test machines boot.
    pub kernel: Kernel,
}

/// What a program printed, and whether it succeeded.
pub struct Said {
    /// Both streams.
    pub text: String,
    pub success: bool,
}

impl Said {
    fn of(output: &Output) -> Self {
        let streams = [&output.stdout, &output.stderr];
        let texts = streams.map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        Self {
            text: texts.concat(),
            success: output.status.success(),
        }
    }

    /// The text of a program that must have succeeded.
    pub fn ok(self) -> Result<String> {
        ensure!(self.success, "it failed:\n{}", self.text);
        Ok(self.text)
    }

    /// The text of a program that must have failed.
    pub fn failed(self) -> Result<String> {
        ensure!(!self.success, "it succeeded:\n{}", self.text);
        Ok(self.text)
    }
}

impl System {
    /// The system as the set-up made it.
    pub fn plain() -> Result<Self> {
        let cache = Cache::open()?;
        let kernel = Kernel::of_package(&cache, &KernelPackage::stable())?;
        let tree = cache.dkms();
        let release = kernel.release();
        ensure!(
            tree.join("boot")
                .join(format!("vmlinuz-{release}"))
                .is_file(),
            "no system with DKMS and {release} in {}: run `cargo xtask test dkms`",
            tree.display()
        );
        // A temporary folder may be in an overlay, which no other one can be in.
        fs::create_dir_all(checkout::target_dir())?;
        let changes = tempfile::tempdir_in(checkout::target_dir())?;
        Ok(Self {
            tree: DebianTree::at(&tree, &cache).changed_in(changes.path()),
            changes,
            kernel,
        })
    }

    /// The system with all files of the package, and the program that fits the module.
    pub fn with_package() -> Result<Self> {
        let system = Self::plain()?;
        copy(&artifacts::dkms()?.join("root"), &system.upper())?;
        let program = artifacts::program("linpmem-fit", Arch::HOST)?;
        system.put("/usr/bin/linpmem-fit", &program)?;
        Ok(system)
    }

    /// The folder of the changes.
    fn upper(&self) -> PathBuf {
        self.changes.path().join("upper")
    }

    /// Where the file `path` of the system is, if it was changed.
    pub fn changed(&self, path: &str) -> PathBuf {
        self.tree.outside(path)
    }

    /// Writes a file of the system.
    pub fn write(&self, path: &str, bytes: &[u8]) -> Result<()> {
        let path = self.changed(path);
        fs::create_dir_all(path.parent().context("no folder")?)?;
        fs::write(&path, bytes).with_context(|| format!("writing {}", path.display()))
    }

    /// Copies a file into the system.
    pub fn put(&self, path: &str, from: &Path) -> Result<()> {
        copy(from, &self.changed(path))
    }

    /// Runs a program in the system.
    pub fn run(&self, argv: &[&str]) -> Result<Said> {
        let (program, arguments) = argv.split_first().context("no program")?;
        let mut command = self.tree.command(program, &[]);
        let output = command.args(arguments).output()?;
        let said = Said::of(&output);
        println!("+ {}\n{}", argv.join(" "), said.text.trim_end());
        Ok(said)
    }

    /// Runs `dkms COMMAND linpmem/VERSION` for the kernel `release`, with `more` arguments.
    pub fn dkms(&self, command: &str, release: &str, more: &[&str]) -> Result<Said> {
        let module = format!("linpmem/{VERSION}");
        let argv = ["dkms", command, &module, "-k", release];
        self.run(&[&argv[..], more].concat())
    }

    /// What DKMS knows of the module.
    pub fn status(&self) -> Result<String> {
        let status = self.run(&["dkms", "status"])?.ok()?;
        let own = status.lines().filter(|line| line.contains("linpmem"));
        Ok(own.collect::<Vec<_>>().join("\n"))
    }

    /// All files and folders of the system whose names have `linpmem` in them and that DKMS or
    /// the kernel's tools make.
    pub fn traces(&self) -> Result<Vec<String>> {
        let find = "find /var/lib/dkms /lib/modules/ -name '*linpmem*'; \
                    grep -ls linpmem /lib/modules/*/modules.* || true";
        let found = self.run(&["sh", "-c", find])?.ok()?;
        Ok(found.lines().map(str::to_owned).collect())
    }
}

/// Copies a file or a folder.
fn copy(from: &Path, to: &Path) -> Result<()> {
    if from.is_dir() {
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            copy(&entry.path(), &to.join(entry.file_name()))?;
        }
        return Ok(());
    }
    fs::create_dir_all(to.parent().context("no folder")?)?;
    fs::copy(from, to)
        .map(drop)
        .with_context(|| format!("copying {} to {}", from.display(), to.display()))
}
