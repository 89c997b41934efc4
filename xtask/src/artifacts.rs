// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is tested, built once.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use anyhow::{Result, ensure};

use crate::checkout;
use crate::kernel::Kernel;

/// The things that a test machine is given.
#[derive(Clone, Debug)]
pub struct Artifacts {
    /// `linpmem.ko` for one kernel.
    pub module: PathBuf,
    /// The static `linpmem-dump`.
    pub dumper: PathBuf,
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
        let artifacts = Self {
            module: checkout::kmod_dir(kernel.release()).join("linpmem.ko"),
            dumper: checkout::dist_dir().join("linpmem-dump"),
        };
        ensure!(artifacts.module.exists() && artifacts.dumper.exists());
        built.push((kernel.release().to_owned(), artifacts.clone()));
        Ok(artifacts)
    }
}
