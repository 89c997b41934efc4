// SPDX-License-Identifier: MIT OR Apache-2.0
//! drgn, a kernel debugger: can it navigate an image?

use super::python::Script;
use crate::cache::Cache;
use crate::kernel::Kernel;
use anyhow::Result;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::Path;

const SCRIPT: Script = Script {
    name: "drgn",
    text: include_str!("drgn.py"),
    packages: Cache::drgn,
};

const ROWS: Script = Script {
    name: "the lists of drgn",
    text: include_str!("drgn_rows.py"),
    packages: Cache::drgn,
};

/// What drgn found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Findings {
    /// drgn's version.
    pub drgn: String,
    /// The kernel's release, from its memory.
    pub release: String,
    /// The number of tasks.
    pub tasks: u64,
    /// The name of process 1.
    pub init: String,
    /// Processes with the planted name.
    pub planted: Vec<Planted>,
}

/// A process that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planted {
    /// Its process id.
    pub pid: i32,
    /// Its arguments, from its own memory.
    pub cmdline: Vec<String>,
    /// The functions on its stack, innermost first; some have no name.
    pub stack: Vec<Option<String>>,
    /// Whether the token is where the process said it put it.
    pub token_in_memory: bool,
}

/// Opens `image` with the debug symbols of `kernel` and looks for a process called
/// `name` that has `token` at the virtual address `address`.
///
/// # Errors
/// When drgn cannot open the image, or cannot navigate it.
pub fn examine(
    image: &Path,
    kernel: &Kernel,
    name: &str,
    token: &str,
    address: &str,
) -> Result<Findings> {
    SCRIPT.run(&[image, &kernel.vmlinux()], &[name, token, address])
}

/// What drgn lists in `image` with the debug symbols of `kernel`.
#[derive(Clone, Debug, Deserialize)]
pub struct Rows {
    /// Tasks: `pid`, `tgid`, `ppid`, `uid`, `name`, `address`.
    pub tasks: Vec<Value>,
    /// Mappings of processes: `pid`, `start`, `end`, `flags`, `page_offset`, `address`, `name`.
    pub mappings: Vec<Value>,
    /// Open files of processes: `pid`, `fd`, `address`, `path`.
    pub files: Vec<Value>,
    /// Modules: `name`, `address`, `base`.
    pub modules: Vec<Value>,
}

/// Lists the tasks, their mappings and open files, and the modules in `image`.
///
/// # Errors
/// When drgn cannot open the image, or cannot navigate it.
pub fn rows(image: &Path, kernel: &Kernel) -> Result<Rows> {
    ROWS.run(&[image, &kernel.vmlinux()], &[])
}
