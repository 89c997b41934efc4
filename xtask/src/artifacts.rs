// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is tested, built once.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};

use crate::cache::Cache;
use crate::kernel::Kernel;
use crate::{dist, kdir, kmod};

/// The dumper's name, here and in the guest.
pub const DUMPER: &str = "linpmem-dump";

/// The things that a test machine is given.
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
    /// Builds what is not up to date, once for all tests of a process.
    ///
    /// # Errors
    /// When a build fails.
    pub fn build(kernel: &Kernel) -> Result<Self> {
        static BUILT: Mutex<Vec<(String, Artifacts)>> = Mutex::new(Vec::new());
        let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, artifacts)) = built.iter().find(|(r, _)| r == kernel.release()) {
            return Ok(artifacts.clone());
        }
        let cache = Cache::open()?;
        let module = kmod::build(&cache, &kdir::of_release(&cache, kernel.release())?)?;
        let dumper = Self::dumper()?;
        let pmem = Self::program("pmem")?;
        let artifacts = Self {
            module,
            dumper,
            pmem,
        };
        built.push((kernel.release().to_owned(), artifacts.clone()));
        Ok(artifacts)
    }

    /// The static dumper alone, built if it is not up to date.
    ///
    /// # Errors
    /// When the build fails.
    pub fn dumper() -> Result<PathBuf> {
        Self::program(DUMPER)
    }

    /// The static program called `name`, built with all others once for all tests
    /// of a process.
    fn program(name: &str) -> Result<PathBuf> {
        static BUILT: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());
        let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
        if built.is_empty() {
            *built = dist::build()?;
        }
        built
            .iter()
            .find(|path| path.file_name().is_some_and(|file| file == name))
            .cloned()
            .with_context(|| format!("no static {name} was built"))
    }
}
