// SPDX-License-Identifier: MIT OR Apache-2.0
//! Consumers of images that are Debian packages: crash and others, in a tree of
//! their own. The newest kernels need newer ones than the release with the
//! compilers has. The tree is unpacked and not installed: nothing in it runs but
//! what is asked for.

use std::fs;
use std::os::unix::fs::symlink;

use anyhow::{Context, Result};

use super::apt::Suite;
use super::folder;
use super::mirror::Mirrors;
use super::stamp::Stamp;
use super::step::step;
use crate::cache::Cache;
use crate::root::Root;

/// Where the newest are.
const SUITE: &str = "sid";

const PACKAGES: &[&str] = &[
    "coreutils",
    "crash",
    "gdb",
    "libkdumpfile-utils",
    "makedumpfile",
];

/// Programs without which the tree is of no use.
const PROGRAMS: &[&str] = &[
    "usr/bin/crash",
    "usr/bin/env",
    "usr/bin/gdb",
    "usr/bin/kdumpid",
    "usr/bin/makedumpfile",
];

const TREES: &[&str] = &["usr/bin", "usr/lib/x86_64-linux-gnu"];

const STAMP: &str = ".linpmem-stamp.json";

fn recipe() -> String {
    format!("{SUITE}: {}", PACKAGES.join(" "))
}

/// Whether the tree is there and whole.
///
/// # Errors
/// What is the matter with it.
pub fn check(cache: &Cache) -> Result<(), String> {
    let dir = cache.consumers();
    let stamp = Stamp::read(&dir.join(STAMP)).ok_or("missing or unfinished")?;
    stamp.check(&dir, &recipe())
}

/// Makes the tree, with the tools of the tree that has the compilers.
///
/// # Errors
/// When packages cannot be fetched or unpacked.
pub fn make(cache: &Cache, mirrors: &Mirrors) -> Result<()> {
    let what = format!("{} of {SUITE} (60 MB)", PACKAGES.join(", "));
    step(cache, "consumers", &what, |log| {
        let partial = folder::begin(&cache.consumers())?;
        for name in ["bin", "lib", "lib64", "sbin"] {
            let target = format!("usr/{name}");
            fs::create_dir_all(partial.join(&target))
                .and_then(|()| symlink(&target, partial.join(name)))
                .with_context(|| format!("cannot make {name} in {}", partial.display()))?;
        }
        // crash unpacks itself a header there.
        let scratch = partial.join("var/tmp");
        fs::create_dir_all(&scratch)
            .with_context(|| format!("cannot make {}", scratch.display()))?;
        let suite = Suite::open(cache, mirrors, SUITE)?;
        suite.update(log)?;
        let archives = partial.join("archives");
        let packages = suite.download_all(log, PACKAGES, &archives)?;
        let root = Root::open(cache)?;
        for package in packages {
            let mut unpack = root.command("dpkg-deb", &[]);
            log.run(unpack.arg("--extract").arg(package).arg(&partial))?;
        }
        folder::remove(&archives)?;
        let version = log.output(Root::at(&partial, cache).command("crash", &[]).arg("-v"))?;
        log.say(version.lines().find(|line| !line.is_empty()).unwrap_or(""));
        Stamp::take(&partial, &recipe(), PROGRAMS, TREES)?.write(&partial.join(STAMP))?;
        folder::finish(&cache.consumers())
    })
}
