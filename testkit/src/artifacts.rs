// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is under test: module, programs and libraries, built by `cargo xtask` as a
//! user builds them, once for all tests of a process.

use crate::arch::Arch;
use crate::checkout;
use crate::kernel::Kernel;
use anyhow::{Context, Result, bail, ensure};
use std::env::{self, VarError};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

/// The dumper's name, on the host and in the guest.
pub const DUMPER: &str = "linpmem-dump";

/// The variable that chooses the module under test: `built` or `fitted`.
pub const MODULE_VARIABLE: &str = "LINPMEM_MODULE";

/// The files that go into a test machine.
#[derive(Clone, Debug)]
pub struct Artifacts {
    /// `linpmem.ko` for one kernel.
    pub module: PathBuf,
    /// The static `linpmem-dump`.
    pub dumper: PathBuf,
    /// The static `pmem`.
    pub pmem: PathBuf,
}

impl Artifacts {
    /// Builds what is not up to date.
    ///
    /// # Errors
    /// When a build fails.
    pub fn build(kernel: &Kernel) -> Result<Self> {
        Ok(Self {
            module: module(kernel)?,
            dumper: dumper_for(kernel.arch())?,
            pmem: program("pmem", kernel.arch())?,
        })
    }
}

/// Which of the two modules is under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModuleKind {
    /// Built for the kernel, which must have Rust.
    Built,
    /// The prebuilt one, fitted to the kernel.
    Fitted,
}

impl ModuleKind {
    /// What the variable [`MODULE_VARIABLE`] says; without it the module that is built.
    ///
    /// # Errors
    /// If it says anything else.
    pub fn chosen() -> Result<Self> {
        match env::var(MODULE_VARIABLE) {
            Err(VarError::NotPresent) => Ok(Self::Built),
            Ok(word) if word == Self::Built.name() => Ok(Self::Built),
            Ok(word) if word == Self::Fitted.name() => Ok(Self::Fitted),
            other => bail!("{MODULE_VARIABLE} must be built or fitted: {other:?}"),
        }
    }

    /// What [`MODULE_VARIABLE`] calls it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Built => "built",
            Self::Fitted => "fitted",
        }
    }

    fn build(self, release: &str) -> Result<PathBuf> {
        let folder = checkout::kmod_dir(release);
        match self {
            Self::Built => {
                xtask(&["kmod", "--release", release])?;
                Ok(folder.join("linpmem.ko"))
            }
            Self::Fitted => {
                xtask(&["kmod", "--fitted", "--release", release])?;
                Ok(folder.join("fitted/linpmem.ko"))
            }
        }
    }
}

/// `linpmem.ko` for a kernel, of the kind under test.
///
/// # Errors
/// When the build fails.
pub fn module(kernel: &Kernel) -> Result<PathBuf> {
    module_of(ModuleKind::chosen()?, kernel)
}

/// `linpmem.ko` of one kind.
///
/// # Errors
/// When the build fails.
pub fn module_of(kind: ModuleKind, kernel: &Kernel) -> Result<PathBuf> {
    kind.build(kernel.release())
}

/// The static `pmem` alone.
///
/// # Errors
/// When the build fails.
pub fn pmem() -> Result<PathBuf> {
    program("pmem", Arch::HOST)
}

/// The static dumper alone.
///
/// # Errors
/// When the build fails.
pub fn dumper() -> Result<PathBuf> {
    program(DUMPER, Arch::HOST)
}

/// The static dumper for an architecture.
///
/// # Errors
/// When the build fails.
pub fn dumper_for(arch: Arch) -> Result<PathBuf> {
    program(DUMPER, arch)
}

/// A static program of `cargo xtask dist` for an architecture.
///
/// # Errors
/// When the build fails.
pub fn program(name: &str, arch: Arch) -> Result<PathBuf> {
    match arch {
        Arch::HOST => xtask(&["dist", "programs"])?,
        other => xtask(&["dist", "programs", "--target", other.name()])?,
    }
    Ok(checkout::dist_dir_of(arch).join(name))
}

/// The module that reports kernel addresses to the tests.
///
/// # Errors
/// When the build fails.
pub fn facts_module(kernel: &Kernel) -> Result<PathBuf> {
    for_tests(kernel, "linpmem_facts.ko")
}

/// The module that hides a process from /proc.
///
/// # Errors
/// When the build fails.
pub fn hiding_module(kernel: &Kernel) -> Result<PathBuf> {
    for_tests(kernel, "linpmem_hide.ko")
}

/// A module of `tests/kernel-modules`.
fn for_tests(kernel: &Kernel, name: &str) -> Result<PathBuf> {
    let release = kernel.release();
    xtask(&["kmod", "--for-tests", "--release", release])?;
    let folder = checkout::kmod_dir(release).join("for-tests");
    Ok(folder.join(name))
}

/// The library for C, as it is installed.
#[derive(Clone, Debug)]
pub struct Library {
    /// `linpmem.h`, and `linpmem/ioctl.h` for the module's own ABI.
    pub include: PathBuf,
    /// `liblinpmem.a`, `liblinpmem.so` and `pkgconfig/linpmem.pc`.
    pub lib: PathBuf,
}

impl Library {
    /// Builds it, unless it is up to date.
    ///
    /// # Errors
    /// When the build fails.
    pub fn build() -> Result<Self> {
        xtask(&["dist", "library"])?;
        let dist = checkout::dist_dir();
        Ok(Self {
            include: dist.join("include"),
            lib: dist.join("lib"),
        })
    }

    /// `liblinpmem.a`.
    #[must_use]
    pub fn archive(&self) -> PathBuf {
        self.lib.join("liblinpmem.a")
    }

    /// `liblinpmem.so.0`, the name that programs ask for at run time.
    #[must_use]
    pub fn shared(&self) -> PathBuf {
        self.lib.join("liblinpmem.so.0")
    }
}

/// The files of the DKMS package: below `root/` what is installed, beside it the scripts that
/// the package manager runs.
///
/// # Errors
/// When they cannot be assembled.
pub fn dkms() -> Result<PathBuf> {
    xtask(&["dkms"])?;
    Ok(checkout::dist_dir().join("dkms"))
}

/// Runs `cargo xtask` with these arguments, once.
fn xtask(args: &[&str]) -> Result<()> {
    static DONE: Mutex<Vec<String>> = Mutex::new(Vec::new());
    let command = format!("cargo xtask {}", args.join(" "));
    let mut done = DONE.lock().unwrap_or_else(PoisonError::into_inner);
    if done.contains(&command) {
        return Ok(());
    }
    let output = checkout::cargo()
        .arg("xtask")
        .args(args)
        .output()
        .with_context(|| format!("starting `{command}`"))?;
    ensure!(
        output.status.success(),
        "`{command}` failed ({}):\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr).trim_end()
    );
    done.push(command);
    Ok(())
}
