// SPDX-License-Identifier: MIT OR Apache-2.0
//! The kernels that tests in machines may run on.

use std::str::FromStr;

use anyhow::{Context, Result};

use crate::cache::Cache;
use crate::kdir;
use crate::kernel::Kernel;
use crate::setup::kernels::Wanted;
use crate::setup::{self, Part};

/// Stock kernels with Rust: the newest of the stable release's backports, of
/// the next release, and of the one after.
const RUST: &[(&str, &str)] = &[
    ("linux-image-cloud-amd64", "trixie-backports"),
    ("linux-image-cloud-amd64", "testing"),
    ("linux-image-cloud-amd64", "sid"),
];

/// Stock kernels of servers, with and without Rust: the stable releases' own,
/// and the newest.
const SERVERS: &[(&str, &str)] = &[
    ("linux-image-cloud-amd64", "trixie"),
    ("linux-image-cloud-amd64", "bookworm"),
    ("linux-image-cloud-amd64", "trixie-backports"),
];

/// The kernels that a suite is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Matrix {
    /// Those that the module can be built for.
    Rust,
    /// Those that servers run.
    Servers,
}

/// Which kernels to test on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// All of the matrix.
    All,
    /// These, from the cache.
    Releases(Vec<String>),
}

impl FromStr for Choice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let releases: Vec<String> = text.split(',').map(str::to_owned).collect();
        if releases.iter().any(String::is_empty) {
            return Err("expected `all`, or releases divided by commas".to_owned());
        }
        Ok(match text {
            "all" => Self::All,
            _ => Self::Releases(releases),
        })
    }
}

impl Choice {
    /// The kernels, fetched where they are missing. Those of [`Matrix::Rust`]
    /// come with their build folders.
    ///
    /// # Errors
    /// When one cannot be had.
    pub fn kernels(&self, cache: &Cache, matrix: Matrix) -> Result<Vec<Kernel>> {
        setup::ensure(cache, &[Part::Root])?;
        let mut kernels: Vec<Kernel> = match self {
            Self::All => matrix
                .packages()
                .iter()
                .map(|&package| fetched(cache, package))
                .collect::<Result<_>>()?,
            Self::Releases(releases) => releases
                .iter()
                .map(|release| Kernel::find(cache, release))
                .collect::<Result<_>>()?,
        };
        // Two suites may have the same one.
        kernels.dedup_by(|a, b| a.release() == b.release());
        if matrix == Matrix::Rust {
            for kernel in &kernels {
                kdir::of_release(cache, kernel.release())
                    .with_context(|| format!("no build folder for {}", kernel.release()))?;
            }
        }
        Ok(kernels)
    }
}

impl Matrix {
    const fn packages(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Rust => RUST,
            Self::Servers => SERVERS,
        }
    }
}

/// The kernel that tests of the sources run on: the one that `LINPMEM_KERNEL`
/// names, else the first of [`Matrix::Servers`], fetched if it is missing.
///
/// # Errors
/// When it cannot be had.
pub fn of_sources(cache: &Cache) -> Result<Kernel> {
    match std::env::var(Kernel::CHOSEN) {
        Ok(release) if !release.is_empty() => Kernel::find(cache, &release),
        _ => {
            let first = SERVERS.first().context("the matrix is empty")?;
            fetched(cache, *first)
        }
    }
}

/// The stable release's kernel, with its debug symbols: the one that all consumers
/// know best.
///
/// # Errors
/// When it cannot be had.
pub fn of_consumers(cache: &Cache) -> Result<Kernel> {
    let first = SERVERS.first().context("the matrix is empty")?;
    setup::kernel_with_debug(cache, &wanted(*first))
}

fn fetched(cache: &Cache, package: (&str, &str)) -> Result<Kernel> {
    setup::kernel(cache, &wanted(package), false)
}

fn wanted((package, suite): (&str, &str)) -> Wanted {
    Wanted {
        package: package.to_owned(),
        suite: suite.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_are_chosen_by_name_or_all() {
        assert_eq!("all".parse(), Ok(Choice::All));
        let two = Choice::Releases(vec!["7.3.4-a".to_owned(), "7.2.13-b".to_owned()]);
        assert_eq!("7.3.4-a,7.2.13-b".parse(), Ok(two));
        assert!("7.3.4-a,".parse::<Choice>().is_err());
        assert!("".parse::<Choice>().is_err());
    }
}
