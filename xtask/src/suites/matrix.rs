// SPDX-License-Identifier: MIT OR Apache-2.0
//! The kernels that the tests in virtual machines can run on.

use crate::setup::{self, Part, kdir};
use anyhow::{Context, Result};
use linpmem_testkit::arch::Arch;
use linpmem_testkit::cache::Cache;
use linpmem_testkit::kernel::{Kernel, KernelPackage};
use std::str::FromStr;

/// Suites whose stock kernels are built with Rust: the stable release's backports,
/// testing and unstable.
const RUST: &[&str] = &["trixie-backports", "testing", "sid"];

/// Suites whose stock kernels servers run, with and without Rust: the stable release, and
/// the newest.
const SERVERS: &[&str] = &["trixie", "trixie-backports"];

/// Older releases. Their cloud kernels lack CONFIG_MEMORY_FAILURE: broken pages need the
/// kernel of real machines.
const OLDER_SERVERS: &[(&str, &str)] = &[
    ("linux-image-amd64", "bookworm"),
    ("linux-image-amd64", "bullseye"),
];

/// Suites whose cloud kernels the prebuilt module is fitted to.
const FITTED: &[&str] = &[
    "bullseye",
    "bookworm",
    "trixie",
    "testing",
    "trixie-backports",
];

/// Other flavours of kernels that it is fitted to: for machines, and for real time.
const FITTED_OTHERS: &[(&str, &str)] = &[
    ("linux-image-amd64", "bullseye"),
    ("linux-image-amd64", "bookworm"),
    ("linux-image-amd64", "trixie"),
    ("linux-image-rt-amd64", "trixie"),
];

/// Releases whose cloud kernels for arm64 are acquired.
const ARM64: &[&str] = &["bookworm", "trixie", "trixie-backports"];

/// Others for arm64: the last one of Debian 11 that is in the archive itself (its security updates
/// for arm64 are gone from the mirrors), and one with pages of 16 KiB.
const ARM64_OTHERS: &[(&str, &str)] = &[
    ("linux-image-5.10.0-32-cloud-arm64", "bullseye"),
    ("linux-image-arm64-16k", "trixie-backports"),
];

/// Releases whose cloud kernels are looked into: each that servers run.
const INSPECTED: &[&str] = &["bullseye", "bookworm", "trixie", "trixie-backports"];

/// The same for arm64, since kernels there list their variables.
const INSPECTED_ARM64: &[&str] = &["trixie", "trixie-backports"];

/// Suites whose cloud kernels for arm64 are built with Rust.
const ARM64_RUST: &[&str] = &["trixie-backports", "testing"];

/// The kernels that a suite supports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Matrix {
    /// Kernels that the module can be built for.
    Rust,
    /// Kernels that servers run.
    Servers,
    /// Kernels that the prebuilt module is fitted to.
    Fitted,
    /// Kernels that images are looked into of, of both architectures.
    Inspected,
    /// Kernels for arm64.
    Arm64,
    /// Kernels for arm64 that the module can be built for.
    Arm64Rust,
}

/// Which kernels to test on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Every kernel of the matrix.
    All,
    /// These, from the cache.
    Releases(Vec<String>),
}

impl FromStr for Choice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let releases: Vec<String> = text.split(',').map(str::to_owned).collect();
        if releases.iter().any(String::is_empty) {
            return Err("expected `all`, or releases separated by commas".to_owned());
        }
        Ok(match text {
            "all" => Self::All,
            _ => Self::Releases(releases),
        })
    }
}

impl Choice {
    /// The kernels, downloaded if they are missing. Those that the module is built for come
    /// with their build folders, those of [`Matrix::Arm64`] with their debug symbols.
    pub fn kernels(&self, cache: &Cache, matrix: Matrix) -> Result<Vec<Kernel>> {
        setup::ensure(cache, &[Part::Tree])?;
        let mut kernels: Vec<Kernel> = match self {
            Self::All => matrix
                .packages()
                .iter()
                .map(|package| setup::ensure_kernel(cache, package))
                .collect::<Result<_>>()?,
            Self::Releases(releases) => releases
                .iter()
                .map(|release| Kernel::find(cache, release))
                .collect::<Result<_>>()?,
        };
        // Two suites may have the same one.
        kernels.dedup_by(|a, b| a.release() == b.release());
        if matches!(matrix, Matrix::Rust | Matrix::Arm64Rust) {
            for kernel in &kernels {
                kdir::of_release(cache, kernel.release())
                    .with_context(|| format!("no build folder for {}", kernel.release()))?;
            }
        }
        if matrix == Matrix::Arm64 {
            for kernel in &kernels {
                setup::ensure_debug(cache, kernel)?;
            }
        }
        Ok(kernels)
    }
}

impl Matrix {
    fn packages(self) -> Vec<KernelPackage> {
        let (cloud, others): (&[&str], &[(&str, &str)]) = match self {
            Self::Rust => (RUST, &[]),
            Self::Servers => (SERVERS, OLDER_SERVERS),
            Self::Fitted => (FITTED, FITTED_OTHERS),
            Self::Inspected => (INSPECTED, &[]),
            Self::Arm64 => (ARM64, ARM64_OTHERS),
            Self::Arm64Rust => (ARM64_RUST, ARM64_OTHERS),
        };
        let arch = match self {
            Self::Arm64 | Self::Arm64Rust => Arch::Aarch64,
            _ => Arch::X86_64,
        };
        let others = others.iter().map(|&(name, suite)| KernelPackage {
            name: name.to_owned(),
            suite: suite.to_owned(),
        });
        let cloud = cloud
            .iter()
            .map(|suite| KernelPackage::cloud_of(arch, suite));
        let on_arm64: &[&str] = match self {
            Self::Inspected => INSPECTED_ARM64,
            _ => &[],
        };
        let on_arm64 = on_arm64
            .iter()
            .map(|suite| KernelPackage::cloud_of(Arch::Aarch64, suite));
        cloud.chain(others).chain(on_arm64).collect()
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
