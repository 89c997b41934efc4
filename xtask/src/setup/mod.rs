// SPDX-License-Identifier: MIT OR Apache-2.0
//! Everything the rest needs, fetched into the cache.
//!
//! Each part is made beside its place and moved there when it is whole, so a
//! set-up that was killed takes up where it stopped. With all parts in the
//! cache nothing reaches for the network, however old they are.

pub mod apt;
mod build_folder;
pub mod compilers;
mod consumers;
pub mod folder;
mod host;
pub mod kernels;
mod lock;
pub mod mirror;
mod python;
pub mod stamp;
pub mod step;
pub mod tools;
mod tree;

pub use build_folder::of_release as kdir_of_release;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, anyhow};

use crate::cache::Cache;
use crate::kdir::Ingredients;
use crate::kernel::{Facts, Kernel};
use crate::matrix;
use apt::Suite;
use kernels::{Found, Wanted};
use mirror::Mirrors;
use step::step;
use tree::Tree;

/// The command line of `cargo xtask setup`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Renew what is in the cache: the newest kernel, compilers and tools
    #[arg(long)]
    refresh: bool,
    /// Another kernel to fetch beside the default one, such as
    /// linux-image-amd64@sid
    #[arg(long, value_name = "PACKAGE@SUITE")]
    kernel: Vec<Wanted>,
}

/// A part of the cache that something needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The Debian tree, in which programs run.
    Root,
    /// The default kernel.
    Kernel,
    /// Its debug symbols.
    Debug,
    /// Its build folder.
    Kdir,
    /// drgn.
    Python,
    /// pyaff4.
    Pyaff4,
    /// Volatility 3 and LeechCore.
    Volatility,
    /// hatchling.
    Hatchling,
    /// crash, gdb and the like.
    Consumers,
    /// cargo-deny.
    CargoDeny,
}

/// All parts.
pub const ALL: &[Part] = &[
    Part::Root,
    Part::Kernel,
    Part::Debug,
    Part::Kdir,
    Part::Python,
    Part::Pyaff4,
    Part::Volatility,
    Part::Hatchling,
    Part::Consumers,
    Part::CargoDeny,
];

/// Runs `cargo xtask setup`.
///
/// # Errors
/// When a part cannot be made.
pub fn run(args: &Args) -> Result<()> {
    let started = Instant::now();
    let cache = Cache::open()?;
    if args.refresh {
        let _lock = lock::Lock::take(&cache)?;
        make(&cache, ALL.iter().copied().collect(), true)?;
    } else {
        ensure(&cache, ALL)?;
    }
    matrix::of_consumers(&cache)?;
    for wanted in &args.kernel {
        self::kernel(&cache, wanted, args.refresh)?;
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

/// Makes those of `parts` that are missing or broken. With all of them whole
/// this takes well under a second and no network.
///
/// # Errors
/// When a part cannot be made.
pub fn ensure(cache: &Cache, parts: &[Part]) -> Result<()> {
    let parts: BTreeSet<Part> = parts.iter().copied().collect();
    if lacking(cache, &parts).is_empty() {
        return Ok(());
    }
    let _lock = lock::Lock::take(cache)?;
    // Another set-up may have made them meanwhile. The second round is for
    // parts that went with a broken one: debug symbols with their kernel.
    for _ in 0..2 {
        let lacking = lacking(cache, &parts);
        if lacking.is_empty() {
            break;
        }
        for (part, reason) in &lacking {
            println!("[setup] {}: {reason}", part.name());
        }
        let lacking = lacking.into_iter().map(|(part, _)| part).collect();
        make(cache, lacking, false)?;
    }
    match lacking(cache, &parts).first() {
        None => Ok(()),
        Some((part, reason)) => Err(anyhow!(
            "{} was made, and yet: {reason}; something else changes {}",
            part.name(),
            cache.dir().display()
        )),
    }
}

impl Part {
    fn name(self) -> &'static str {
        match self {
            Self::Root => "the Debian tree",
            Self::Kernel => "the kernel",
            Self::Debug => "the kernel's debug symbols",
            Self::Kdir => "the kernel's build folder",
            Self::Python => "drgn",
            Self::Pyaff4 => "pyaff4",
            Self::Volatility => "Volatility 3 and LeechCore",
            Self::Hatchling => "hatchling",
            Self::Consumers => "crash, gdb, makedumpfile and libkdumpfile",
            Self::CargoDeny => "cargo-deny",
        }
    }

    fn check(self, cache: &Cache) -> Result<(), String> {
        let facts = || match Kernel::default(cache) {
            Ok(kernel) => Ok(kernel),
            Err(_) => Err("missing or unfinished".to_owned()),
        };
        match self {
            Self::Root => Tree::workshop(cache).check(),
            Self::Kernel => kernels::check(cache, facts()?.facts()),
            Self::Debug => kernels::check_debug(cache, facts()?.facts()),
            Self::Kdir => Ingredients::of(&facts()?)
                .map_err(|error| error.to_string())?
                .check(cache),
            Self::Python => python::DRGN.check(cache),
            Self::Pyaff4 => python::PYAFF4.check(cache),
            Self::Volatility => python::VOLATILITY.check(cache),
            Self::Hatchling => python::HATCHLING.check(cache),
            Self::Consumers => consumers::check(cache),
            Self::CargoDeny => match tools::cargo_deny(cache) {
                Some(_) => Ok(()),
                None => Err("missing".to_owned()),
            },
        }
    }
}

fn lacking(cache: &Cache, parts: &BTreeSet<Part>) -> Vec<(Part, String)> {
    let check = |part: &Part| part.check(cache).err().map(|reason| (*part, reason));
    parts.iter().filter_map(check).collect()
}

/// Makes `parts`, in an order in which each finds what it needs; what waits
/// for the network or for one processor runs beside the rest.
fn make(cache: &Cache, parts: BTreeSet<Part>, refresh: bool) -> Result<()> {
    let has = |part| parts.contains(&part);
    if !has(Part::CargoDeny) && tools::cargo_deny(cache).is_some() {
        tools::tidy(cache)?;
    }
    thread::scope(|scope| {
        let deny = has(Part::CargoDeny).then(|| scope.spawn(|| tools::make(cache)));
        let rest = (|| {
            let of_tree = [
                Part::Root,
                Part::Kernel,
                Part::Debug,
                Part::Kdir,
                Part::Python,
                Part::Pyaff4,
                Part::Volatility,
                Part::Hatchling,
                Part::Consumers,
            ];
            if !of_tree.into_iter().any(has) {
                return Ok(());
            }
            let mirrors = Mirrors::of_this_machine()?;
            let tree = Tree::workshop(cache);
            if refresh || tree.check().is_err() {
                tree.make(cache, &mirrors, host::ready(cache)?)?;
            }
            let python = has(Part::Python).then(|| scope.spawn(|| python::DRGN.make(cache)));
            let pyaff4 = has(Part::Pyaff4).then(|| scope.spawn(|| python::PYAFF4.make(cache)));
            let volatility =
                has(Part::Volatility).then(|| scope.spawn(|| python::VOLATILITY.make(cache)));
            let hatchling =
                has(Part::Hatchling).then(|| scope.spawn(|| python::HATCHLING.make(cache)));
            let kernel = if [Part::Kernel, Part::Debug, Part::Kdir].into_iter().any(has) {
                default_kernel(cache, &mirrors, &parts, refresh)
            } else {
                Ok(())
            };
            let python = python.map_or(Ok(()), join);
            let pyaff4 = pyaff4.map_or(Ok(()), join);
            let volatility = volatility.map_or(Ok(()), join);
            let hatchling = hatchling.map_or(Ok(()), join);
            let consumers = match has(Part::Consumers) {
                true => consumers::make(cache, &mirrors),
                false => Ok(()),
            };
            let python = both(both(volatility, hatchling), both(python, pyaff4));
            both(kernel, both(consumers, python))
        })();
        let deny = deny.map_or(Ok(()), join);
        both(rest, deny)
    })
}

fn join(thread: thread::ScopedJoinHandle<'_, Result<()>>) -> Result<()> {
    thread
        .join()
        .unwrap_or_else(|_| Err(anyhow!("a step of the set-up panicked")))
}

/// Two outcomes in one; of two errors none is lost.
fn both(one: Result<()>, other: Result<()>) -> Result<()> {
    match (one, other) {
        (Err(one), Err(other)) => Err(anyhow!("{one:#}\n{other:#}")),
        (one, other) => one.and(other),
    }
}

/// The kernel that tests use, with what belongs to it.
fn default_kernel(
    cache: &Cache,
    mirrors: &Mirrors,
    parts: &BTreeSet<Part>,
    refresh: bool,
) -> Result<()> {
    let wanted = Wanted::default_kernel();
    let suite = Suite::open(cache, mirrors, &wanted.suite)?;
    // What is in the cache already is not replaced by a newer one unasked.
    let present = match Kernel::default(cache) {
        Ok(kernel) if kernels::check(cache, kernel.facts()).is_ok() => Some(kernel),
        _ => None,
    };
    let found = resolve(cache, &suite, &wanted)?;
    let kernel = match present {
        Some(kernel) if !refresh => kernel,
        _ => {
            if !found.is_in(cache) {
                found.fetch(cache, &suite)?;
            }
            Kernel::find(cache, &found.release)?
        }
    };
    let facts = kernel.facts();
    facts.rustc.as_ref().with_context(|| {
        format!(
            "the newest {} ({}) is built without Rust",
            wanted.package, facts.release
        )
    })?;
    thread::scope(|scope| {
        let debug = parts.contains(&Part::Debug) && kernels::check_debug(cache, facts).is_err();
        let debug = debug.then(|| scope.spawn(|| kernels::fetch_debug(cache, &suite, facts)));
        let kdir = if parts.contains(&Part::Kdir) {
            build_folder::of_kernel(cache, &suite, &kernel)
        } else {
            Ok(())
        };
        both(kdir, debug.map_or(Ok(()), join))
    })?;
    point_default_at(cache, &facts.release)?;
    remove_superseded(cache, facts)
}

fn resolve(cache: &Cache, suite: &Suite, wanted: &Wanted) -> Result<Found> {
    let what = format!("the newest {} in {}", wanted.package, wanted.suite);
    step(cache, "lists", &what, |log| {
        suite.update(log)?;
        let found = kernels::resolve(log, suite, wanted)?;
        println!("[setup] lists: it is {}", found.release);
        Ok(found)
    })
}

/// A kernel beside the default one, fetched when it is missing.
///
/// # Errors
/// When it cannot be fetched.
pub fn kernel(cache: &Cache, wanted: &Wanted, refresh: bool) -> Result<Kernel> {
    let have = Kernel::list(cache)?
        .into_iter()
        .find(|kernel| kernel.facts().wanted() == *wanted);
    if let Some(kernel) = have {
        if !refresh && kernels::check(cache, kernel.facts()).is_ok() {
            return Ok(kernel);
        }
    }
    let _lock = lock::Lock::take(cache)?;
    let mirrors = Mirrors::of_this_machine()?;
    let suite = Suite::open(cache, &mirrors, &wanted.suite)?;
    let found = resolve(cache, &suite, wanted)?;
    if !found.is_in(cache) {
        found.fetch(cache, &suite)?;
    }
    let kernel = Kernel::find(cache, &found.release)?;
    remove_superseded(cache, kernel.facts())?;
    Ok(kernel)
}

/// The same, with its debug symbols.
///
/// # Errors
/// When they cannot be fetched.
pub fn kernel_with_debug(cache: &Cache, wanted: &Wanted) -> Result<Kernel> {
    let kernel = kernel(cache, wanted, false)?;
    if kernels::check_debug(cache, kernel.facts()).is_err() {
        let _lock = lock::Lock::take(cache)?;
        let mirrors = Mirrors::of_this_machine()?;
        let suite = Suite::open(cache, &mirrors, &wanted.suite)?;
        kernels::fetch_debug(cache, &suite, kernel.facts())?;
    }
    Ok(kernel)
}

fn point_default_at(cache: &Cache, release: &str) -> Result<()> {
    let link = cache.kernels().join("default");
    if fs::read_link(&link).is_ok_and(|target| target.as_os_str() == release) {
        return Ok(());
    }
    let new = cache.kernels().join("default.partial");
    let _ = fs::remove_file(&new);
    symlink(release, &new)
        .and_then(|()| fs::rename(&new, &link))
        .with_context(|| format!("cannot make the link {}", link.display()))
}

/// Removes kernels that were asked for by the same name as `facts`.
fn remove_superseded(cache: &Cache, facts: &Facts) -> Result<()> {
    for kernel in Kernel::list(cache)? {
        let old = kernel.facts();
        if old.wanted() == facts.wanted() && old.release != facts.release {
            println!(
                "[setup] removing {}, superseded by {}",
                old.release, facts.release
            );
            for dir in [cache.kdir(&old.release), cache.source(&old.release)] {
                folder::remove(&dir)?;
            }
            folder::remove(kernel.dir())?;
        }
    }
    Ok(())
}
