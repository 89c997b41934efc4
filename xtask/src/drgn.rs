// SPDX-License-Identifier: MIT OR Apache-2.0
//! drgn, a debugger of kernels, as a judge: does it find its way in an image?

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::cache::Cache;
use crate::kernel::Kernel;
use crate::root::Root;

const SCRIPT: &str = include_str!("drgn.py");

/// What drgn found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Findings {
    /// Its version.
    pub drgn: String,
    /// The kernel's release, from its memory.
    pub release: String,
    /// Tasks in all.
    pub tasks: u64,
    /// The name of process 1.
    pub init: String,
    /// Processes of the planted name.
    pub planted: Vec<Planted>,
}

/// A process that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planted {
    /// Its number.
    pub pid: i32,
    /// Its arguments, out of its own memory.
    pub cmdline: Vec<String>,
    /// The functions that it is in, the innermost first; some have no name.
    pub stack: Vec<Option<String>>,
    /// Whether the token is where the process said it put it.
    pub token_in_memory: bool,
}

/// Opens `image` with the debug symbols of `kernel` and looks for a process
/// called `name` that has `token` at the virtual address `address`.
///
/// # Errors
/// When drgn does not open the image, or does not find its way in it.
pub fn examine(
    image: &Path,
    kernel: &Kernel,
    name: &str,
    token: &str,
    address: &str,
) -> Result<Findings> {
    let cache = Cache::open()?;
    let folder = image.parent().context("an image lies in a folder")?;
    let output = Root::open(&cache)?
        .command("python3", &[folder])
        .env("PYTHONPATH", cache.python())
        // Nothing but what is given: no debug files of the host's.
        .env("DEBUGINFOD_URLS", "")
        .args(["-c", SCRIPT])
        .arg(image)
        .arg(kernel.vmlinux())
        .args([name, token, address])
        .output()
        .context("running drgn")?;
    ensure!(
        output.status.success(),
        "drgn does not find its way in {}:\n{}",
        image.display(),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    serde_json::from_slice(&output.stdout).context("drgn's findings")
}
