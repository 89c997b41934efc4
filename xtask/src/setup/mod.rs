// SPDX-License-Identifier: MIT OR Apache-2.0
//! Everything the rest needs, downloaded into the cache.
//!
//! Each part is made in a temporary place and moved when it is complete, so that a set-up
//! that was killed can continue. With all parts in the cache, however old, the network is
//! not used.

mod archive;
pub mod cargo_deny;
pub mod compilers;
mod fingerprint;
pub mod folder;
mod host;
pub mod kdir;
pub mod kernels;
mod lock;
mod python;
mod stores;
mod task;
mod tree;

use anyhow::{Context, Result, anyhow};
use linpmem_testkit::arch::Arch;
use linpmem_testkit::cache::Cache;
use linpmem_testkit::kernel::{Kernel, KernelPackage};
use lock::Lock;
use std::collections::BTreeSet;
use std::thread;
use std::time::Instant;
use tree::Recipe;

/// The command line of `cargo xtask setup`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Replace what is in the cache by the newest kernel, compilers and tools
    #[arg(long)]
    refresh: bool,
    /// Another kernel to download, such as linux-image-amd64@sid
    #[arg(long, value_name = "PACKAGE@SUITE")]
    kernel: Vec<KernelPackage>,
}

/// A part of the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The main Debian tree.
    Tree,
    /// The default kernel.
    Kernel,
    /// The default kernel's debug symbols.
    Debug,
    /// The default kernel's build folder.
    Kdir,
    /// Debian's stable kernel, with debug symbols.
    Stable,
    /// drgn.
    Drgn,
    /// pyaff4.
    Pyaff4,
    /// Volatility 3 and LeechCore.
    Volatility,
    /// hatchling.
    Hatchling,
    /// crash, gdb and the like.
    Consumers,
    /// minisign, OpenSSL and age.
    Vouchers,
    /// yara, strings and grep.
    Searchers,
    /// nginx and BusyBox.
    Servers,
    /// s3s-fs.
    S3,
    /// Other stores: emulators of S3, Google's and Azure's, and WebDAV.
    Stores,
    /// QEMU and a cross compiler for arm64.
    Arm64Tree,
    /// The newest arm64 kernel, with debug symbols.
    Arm64Kernel,
    /// crash and makedumpfile for arm64, which need the arm64 tree to run.
    Arm64Consumers,
    /// cargo-deny.
    CargoDeny,
    /// A browser.
    Browser,
    /// Debian's releases, to install packages on.
    FreshTrees,
    /// auditwheel and CycloneDX's library.
    Judges,
}

/// All parts but those that only suites on request need: `release`, `dkms` and `crates`.
pub const ALL: &[Part] = &[
    Part::Tree,
    Part::Kernel,
    Part::Debug,
    Part::Kdir,
    Part::Stable,
    Part::Drgn,
    Part::Pyaff4,
    Part::Volatility,
    Part::Hatchling,
    Part::Consumers,
    Part::Vouchers,
    Part::Browser,
    Part::Searchers,
    Part::Servers,
    Part::S3,
    Part::Stores,
    Part::Arm64Tree,
    Part::Arm64Kernel,
    Part::Arm64Consumers,
    Part::CargoDeny,
];

/// What a machine of an architecture boots with, besides a kernel that the caller names.
pub fn for_machines(arch: Arch) -> &'static [Part] {
    match arch {
        Arch::X86_64 => &[Part::Tree, Part::Kernel],
        Arch::Aarch64 => &[Part::Arm64Tree],
    }
}

/// Runs `cargo xtask setup`.
pub fn run(args: &Args) -> Result<()> {
    let started = Instant::now();
    let cache = Cache::open()?;
    if args.refresh {
        let _lock = Lock::take(&cache)?;
        make(&cache, &ALL.iter().copied().collect(), true)?;
    } else {
        ensure(&cache, ALL)?;
    }
    for package in &args.kernel {
        let _lock = Lock::take(&cache)?;
        other_kernel(&cache, package, args.refresh)?;
    }
    let kernel = Kernel::default(&cache)?;
    println!(
        "[setup] {} is complete: {} ({}); {:.1} s",
        cache.dir().display(),
        kernel.release(),
        kernel.facts().version,
        started.elapsed().as_secs_f64()
    );
    Ok(())
}

/// Makes those of `parts` that are missing or incomplete. If there are none, this takes
/// well under a second and does not use the network.
pub fn ensure(cache: &Cache, parts: &[Part]) -> Result<()> {
    if lacking(cache, parts).is_empty() {
        return Ok(());
    }
    let _lock = Lock::take(cache)?;
    // Another set-up may have made them by now. The second round is for parts that are
    // lost with another one: a new kernel has no debug symbols.
    for _ in 0..2 {
        let lacking = lacking(cache, parts);
        for (part, reason) in &lacking {
            println!("[setup] {}: {reason}", part.name());
        }
        let lacking: BTreeSet<Part> = lacking.into_iter().map(|(part, _)| part).collect();
        if lacking.is_empty() {
            return Ok(());
        }
        make(cache, &lacking, false)?;
    }
    match lacking(cache, parts).first() {
        None => Ok(()),
        Some((part, reason)) => Err(anyhow!(
            "{} was just made, and still: {reason}. Does something else change {}?",
            part.name(),
            cache.dir().display()
        )),
    }
}

/// The kernel of `package`, downloaded if it is missing.
pub fn ensure_kernel(cache: &Cache, package: &KernelPackage) -> Result<Kernel> {
    match Kernel::of_package(cache, package) {
        Ok(kernel) if kernels::check(&kernel).is_ok() => Ok(kernel),
        _ => {
            let _lock = Lock::take(cache)?;
            other_kernel(cache, package, false)
        }
    }
}

/// Makes the tree with DKMS for the stable kernel, unless it is there. Returns that kernel.
pub fn ensure_dkms(cache: &Cache) -> Result<Kernel> {
    let kernel = ensure_kernel(cache, &KernelPackage::stable())?;
    let tree = Recipe::dkms(cache, kernel.release());
    if tree.check().is_err() {
        let _lock = Lock::take(cache)?;
        tree.make(cache)?;
    }
    Ok(kernel)
}

/// Downloads the debug symbols of a kernel, unless they are there.
pub fn ensure_debug(cache: &Cache, kernel: &Kernel) -> Result<()> {
    if kernels::check_debug(kernel).is_ok() {
        return Ok(());
    }
    let _lock = Lock::take(cache)?;
    debug(cache, kernel)
}

impl Part {
    fn name(self) -> &'static str {
        match self {
            Self::Tree => "the Debian tree",
            Self::Kernel => "the kernel",
            Self::Debug => "the kernel's debug symbols",
            Self::Kdir => "the kernel's build folder",
            Self::Stable => "the stable kernel with its debug symbols",
            Self::Drgn => "drgn",
            Self::Pyaff4 => "pyaff4",
            Self::Volatility => "Volatility 3 and LeechCore",
            Self::Hatchling => "hatchling",
            Self::Consumers => "crash, gdb, makedumpfile and libkdumpfile",
            Self::Vouchers => "minisign, OpenSSL and age",
            Self::Browser => "a browser",
            Self::Searchers => "yara, strings and grep",
            Self::Servers => "nginx and BusyBox",
            Self::S3 => "s3s-fs",
            Self::Stores => "emulators of stores",
            Self::Arm64Tree => "the Debian tree for arm64",
            Self::Arm64Kernel => "the arm64 kernel with its debug symbols",
            Self::Arm64Consumers => "crash and makedumpfile for arm64",
            Self::CargoDeny => "cargo-deny",
            Self::FreshTrees => "Debian's releases, to install packages on",
            Self::Judges => "auditwheel and CycloneDX's library",
        }
    }

    fn check(self, cache: &Cache) -> Result<(), String> {
        let missing = |_| "missing".to_owned();
        let default = || Kernel::default(cache).map_err(missing);
        match self {
            Self::Tree => Recipe::main(cache).check(),
            Self::Kernel => kernels::check(&default()?),
            Self::Debug => kernels::check_debug(&default()?),
            Self::Kdir => kdir::check(cache, &default()?),
            Self::Stable | Self::Arm64Kernel => {
                let package = match self {
                    Self::Stable => KernelPackage::stable(),
                    _ => KernelPackage::newest_of(Arch::Aarch64),
                };
                let kernel = Kernel::of_package(cache, &package).map_err(missing)?;
                kernels::check(&kernel)?;
                kernels::check_debug(&kernel)
            }
            Self::Drgn => python::DRGN.check(cache),
            Self::Pyaff4 => python::PYAFF4.check(cache),
            Self::Volatility => python::VOLATILITY.check(cache),
            Self::Hatchling => python::HATCHLING.check(cache),
            Self::Consumers => Recipe::consumers(cache).check(),
            Self::Vouchers => Recipe::vouchers(cache).check(),
            Self::Searchers => Recipe::searchers(cache).check(),
            Self::Servers => Recipe::servers(cache).check(),
            Self::Browser => Recipe::browser(cache).check(),
            Self::S3 => stores::check_s3(cache),
            Self::Stores => python::STORES
                .check(cache)
                .and_then(|()| stores::check_azurite(cache)),
            Self::Arm64Tree => Recipe::arm64(cache).check(),
            Self::Arm64Consumers => Recipe::consumers_arm64(cache).check(),
            Self::FreshTrees => Recipe::all_fresh(cache).try_for_each(|tree| tree.check()),
            Self::Judges => python::JUDGES.check(cache),
            Self::CargoDeny => match cargo_deny::find(cache) {
                Some(_) => Ok(()),
                None => Err("missing".to_owned()),
            },
        }
    }
}

fn lacking(cache: &Cache, parts: &[Part]) -> Vec<(Part, String)> {
    let check = |part: &Part| part.check(cache).err().map(|reason| (*part, reason));
    parts.iter().filter_map(check).collect()
}

type Job<'a> = Box<dyn FnOnce() -> Result<()> + Send + 'a>;

/// Makes `parts`: the Debian tree first, as most others need it; else in parallel, as
/// some wait for the network and some for one processor.
fn make(cache: &Cache, parts: &BTreeSet<Part>, refresh: bool) -> Result<()> {
    let has = |part| parts.contains(&part);
    let with_tree = || {
        let tree = Recipe::main(cache);
        if refresh || tree.check().is_err() {
            tree.make(cache)?;
        }
        let mut jobs: Vec<Job<'_>> = Vec::new();
        if [Part::Kernel, Part::Debug, Part::Kdir].into_iter().any(has) {
            jobs.push(Box::new(|| default_kernel(cache, parts, refresh)));
        }
        for (part, package) in [
            (Part::Stable, KernelPackage::stable()),
            (Part::Arm64Kernel, KernelPackage::newest_of(Arch::Aarch64)),
        ] {
            if has(part) {
                jobs.push(Box::new(move || {
                    let kernel = other_kernel(cache, &package, refresh)?;
                    debug(cache, &kernel)
                }));
            }
        }
        for (part, packages) in [
            (Part::Drgn, &python::DRGN),
            (Part::Pyaff4, &python::PYAFF4),
            (Part::Volatility, &python::VOLATILITY),
            (Part::Hatchling, &python::HATCHLING),
            (Part::Judges, &python::JUDGES),
        ] {
            if has(part) {
                jobs.push(Box::new(|| packages.make(cache)));
            }
        }
        if has(Part::Stores) {
            jobs.push(Box::new(|| {
                python::STORES.make(cache)?;
                stores::make_azurite(cache)
            }));
        }
        if has(Part::Consumers) {
            jobs.push(Box::new(|| Recipe::consumers(cache).make(cache)));
        }
        if has(Part::Arm64Tree) || has(Part::Arm64Consumers) {
            jobs.push(Box::new(|| arm64_trees(cache, parts)));
        }
        parallel(jobs)
    };
    let mut jobs: Vec<Job<'_>> = Vec::new();
    if has(Part::CargoDeny) {
        jobs.push(Box::new(|| cargo_deny::make(cache)));
    }
    if has(Part::S3) {
        jobs.push(Box::new(|| stores::make_s3(cache)));
    }
    if has(Part::Vouchers) {
        jobs.push(Box::new(|| Recipe::vouchers(cache).make(cache)));
    }
    if has(Part::Browser) {
        jobs.push(Box::new(|| Recipe::browser(cache).make(cache)));
    }
    if has(Part::Searchers) {
        jobs.push(Box::new(|| Recipe::searchers(cache).make(cache)));
    }
    if has(Part::Servers) {
        jobs.push(Box::new(|| Recipe::servers(cache).make(cache)));
    }
    if has(Part::FreshTrees) {
        jobs.push(Box::new(|| {
            let mut lacking = Recipe::all_fresh(cache).filter(|tree| tree.check().is_err());
            lacking.try_for_each(|tree| tree.make(cache))
        }));
    }
    let without_tree = [
        Part::Browser,
        Part::CargoDeny,
        Part::FreshTrees,
        Part::Vouchers,
        Part::Searchers,
        Part::Servers,
        Part::S3,
    ];
    if parts.iter().any(|part| !without_tree.contains(part)) {
        jobs.push(Box::new(with_tree));
    }
    parallel(jobs)
}

/// The trees for arm64 that `parts` has: the one with the emulator first, which the other
/// needs.
fn arm64_trees(cache: &Cache, parts: &BTreeSet<Part>) -> Result<()> {
    for (part, tree) in [
        (Part::Arm64Tree, Recipe::arm64(cache)),
        (Part::Arm64Consumers, Recipe::consumers_arm64(cache)),
    ] {
        if parts.contains(&part) {
            tree.make(cache)?;
        }
    }
    Ok(())
}

/// Runs `jobs` in threads. The error has those of all that failed.
fn parallel(jobs: Vec<Job<'_>>) -> Result<()> {
    thread::scope(|scope| {
        let threads: Vec<_> = jobs.into_iter().map(|job| scope.spawn(job)).collect();
        let outcomes = threads.into_iter().map(|thread| {
            let panicked = |_| Err(anyhow!("a task of the set-up panicked"));
            thread.join().unwrap_or_else(panicked)
        });
        let errors: Vec<String> = outcomes
            .filter_map(Result::err)
            .map(|error| format!("{error:#}"))
            .collect();
        match errors.is_empty() {
            true => Ok(()),
            false => Err(anyhow!("{}", errors.join("\n"))),
        }
    })
}

/// The default kernel, and those of its debug symbols and its build folder that `parts`
/// has. A complete kernel is replaced by a newer one only to `refresh` it.
fn default_kernel(cache: &Cache, parts: &BTreeSet<Part>, refresh: bool) -> Result<()> {
    let kernel = kernel(cache, &KernelPackage::newest(), refresh)?;
    let release = kernel.release();
    kernel
        .facts()
        .rustc
        .as_ref()
        .with_context(|| format!("the newest kernel ({release}) is built without Rust"))?;
    let mut jobs: Vec<Job<'_>> = Vec::new();
    if parts.contains(&Part::Debug) {
        jobs.push(Box::new(|| debug(cache, &kernel)));
    }
    if parts.contains(&Part::Kdir) {
        jobs.push(Box::new(|| kdir::make(cache, &kernel)));
    }
    parallel(jobs)?;
    kernels::make_default(cache, &kernel)?;
    kernels::remove_superseded(cache, &kernel)
}

/// A kernel other than the default one, downloaded if it is missing or to `refresh` it.
fn other_kernel(cache: &Cache, package: &KernelPackage, refresh: bool) -> Result<Kernel> {
    let kernel = kernel(cache, package, refresh)?;
    kernels::remove_superseded(cache, &kernel)?;
    Ok(kernel)
}

/// The kernel of `package`, downloaded if it is missing or to `refresh` it.
fn kernel(cache: &Cache, package: &KernelPackage, refresh: bool) -> Result<Kernel> {
    match Kernel::of_package(cache, package) {
        Ok(kernel) if !refresh && kernels::check(&kernel).is_ok() => Ok(kernel),
        _ => kernels::download(cache, package),
    }
}

fn debug(cache: &Cache, kernel: &Kernel) -> Result<()> {
    match kernels::check_debug(kernel) {
        Ok(()) => Ok(()),
        Err(_) => kernels::download_debug(cache, kernel),
    }
}
