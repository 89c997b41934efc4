// SPDX-License-Identifier: MIT OR Apache-2.0
//! A symbol file of ours compared with other descriptions of the same kernel: its
//! DWARF as drgn reads it, a symbol file made from DWARF, System.map.

use super::python::Script;
use crate::cache::Cache;
use crate::kernel::Kernel;
use anyhow::{Result, ensure};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

const DWARF: Script = Script {
    name: "the comparison of a symbol file with DWARF",
    text: include_str!("dwarf.py"),
    packages: Cache::drgn,
};

const REFERENCE: Script = Script {
    name: "the comparison of a symbol file with another one",
    text: include_str!("reference.py"),
    packages: Cache::drgn,
};

/// How many entries of one kind agree, and which do not.
#[derive(Clone, Debug, Deserialize)]
pub struct Tally<D> {
    /// The number of equal entries.
    pub same: u64,
    /// Those that differ.
    pub different: D,
    /// Those that the other description does not have.
    #[serde(default)]
    pub unknown: BTreeSet<String>,
}

/// The result of a comparison with the kernel's DWARF and System.map. Differences are listed by name.
#[derive(Clone, Debug, Deserialize)]
pub struct WithDwarf {
    /// Structs and unions, with the offsets of all fields.
    pub types: Tally<BTreeMap<String, Vec<String>>>,
    /// Enumerations, with all values.
    pub enums: Tally<BTreeMap<String, Vec<String>>>,
    /// Types of variables.
    pub symbols: Tally<BTreeMap<String, Vec<String>>>,
    /// Addresses of symbols.
    pub addresses: Tally<BTreeMap<String, Vec<String>>>,
}

impl WithDwarf {
    /// How much is equal.
    #[must_use]
    pub fn summary(&self) -> String {
        format!(
            "equal to DWARF: {} types, {} enumerations, {} types of symbols; to System.map: {} addresses",
            self.types.same, self.enums.same, self.symbols.same, self.addresses.same
        )
    }

    /// Requires that nothing differs, and that `types` were compared.
    ///
    /// # Errors
    /// When something differs or was not compared.
    pub fn require_equal(&self, types: &[&str]) -> Result<()> {
        for (what, found) in [
            ("types", &self.types),
            ("enumerations", &self.enums),
            ("types of symbols", &self.symbols),
            ("addresses", &self.addresses),
        ] {
            let different = &found.different;
            ensure!(different.is_empty(), "{what} that differ: {different:?}");
        }
        let missing = types
            .iter()
            .find(|name| self.types.unknown.contains(**name));
        ensure!(missing.is_none(), "DWARF does not have {missing:?}");
        Ok(())
    }
}

/// The result of a comparison with a symbol file made from the DWARF of a similar
/// kernel, and with the System.map of this one.
#[derive(Clone, Debug, Deserialize)]
pub struct WithReference {
    /// Structs and unions, with types and offsets of all fields.
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

/// Compares the symbol file with the DWARF and the System.map of `kernel`.
///
/// # Errors
/// When one of them cannot be read.
pub fn compare_with_dwarf(file: &Path, kernel: &Kernel) -> Result<WithDwarf> {
    let map = kernel.system_map();
    let arch = kernel.arch().name();
    DWARF.run(&[file, &kernel.vmlinux(), &map], &[arch])
}

/// Compares the symbol file with `reference`, another one, and with the System.map of
/// `kernel`.
///
/// # Errors
/// When one of them cannot be read.
pub fn compare_with_reference(
    file: &Path,
    reference: &Path,
    kernel: &Kernel,
) -> Result<WithReference> {
    REFERENCE.run(&[file, reference, &kernel.system_map()], &[])
}
