// SPDX-License-Identifier: MIT OR Apache-2.0
//! A symbol file of ours beside what others say of the same kernel: its DWARF, as
//! drgn reads it; a symbol file made from DWARF; System.map.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::cache::Cache;
use crate::kernel::Kernel;
use crate::root::Root;

const DWARF: &str = include_str!("dwarf.py");
const YARDSTICK: &str = include_str!("yardstick.py");

/// How many of a kind are the same.
#[derive(Clone, Debug, Deserialize)]
pub struct Tally<D> {
    /// So many.
    pub same: u64,
    /// Those that are not.
    pub different: D,
}

/// Beside the kernel's DWARF. What differs, by name.
#[derive(Clone, Debug, Deserialize)]
pub struct Dwarf {
    /// Structs and unions, with places of all fields.
    pub types: Tally<BTreeMap<String, Vec<String>>>,
    /// Enumerations, with all values.
    pub enums: Tally<BTreeMap<String, Vec<String>>>,
    /// Types of variables.
    pub symbols: Tally<BTreeMap<String, Vec<String>>>,
}

/// Beside a symbol file made from DWARF of a kernel that is nearly the same, and
/// System.map of the very same.
#[derive(Clone, Debug, Deserialize)]
pub struct Yardstick {
    /// Structs and unions, with types and places of all fields.
    pub types: Tally<Vec<String>>,
    /// Enumerations.
    pub enums: Tally<Vec<String>>,
    /// Integers and the like.
    pub base_types: Tally<Vec<String>>,
    /// Types of variables.
    pub symbol_types: Tally<Vec<String>>,
    /// Addresses.
    pub addresses: Tally<Vec<String>>,
    /// How many symbols of System.map the file lacks.
    pub lacks: u64,
}

/// Compares the symbol file with the DWARF of `kernel`.
///
/// # Errors
/// When one of them cannot be read.
pub fn beside_dwarf(file: &Path, kernel: &Kernel) -> Result<Dwarf> {
    run(DWARF, &[file, &kernel.vmlinux()])
}

/// Compares the symbol file with `yardstick`, another one, and with the System.map of
/// `kernel`.
///
/// # Errors
/// When one of them cannot be read.
pub fn beside_yardstick(file: &Path, yardstick: &Path, kernel: &Kernel) -> Result<Yardstick> {
    run(YARDSTICK, &[file, yardstick, &kernel.system_map()])
}

fn run<T: DeserializeOwned>(script: &str, paths: &[&Path]) -> Result<T> {
    let cache = Cache::open()?;
    let output = Root::open(&cache)?
        .command("python3", paths)
        .env("PYTHONPATH", cache.python())
        .args(["-c", script])
        .args(paths)
        .output()
        .context("comparing symbol files")?;
    ensure!(
        output.status.success(),
        "comparing {paths:?}: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    serde_json::from_slice(&output.stdout).context("what a comparison found")
}
