// SPDX-License-Identifier: MIT OR Apache-2.0
//! The kernel's modules, a text about each.

use crate::names::Names;
use linpmem_inspect::{Error, Machine, Module, Troubles};
use linpmem_phys::Errno;
use linpmem_phys::num::{u64_as_usize, usize_as_u64};

/// The modules, the one that was loaded last first.
#[derive(Debug)]
pub(super) struct Modules {
    list: Vec<(String, Module)>,
    names: Names,
    pub(super) troubles: Troubles,
}

impl Modules {
    pub(super) fn of(machine: &Machine<'_>) -> Result<Self, Error> {
        let found = machine.modules()?;
        let mut names = Names::default();
        let modules = (0..).zip(found.items);
        Ok(Self {
            list: modules
                .map(|(index, module)| (names.give(&module.name, index), module))
                .collect(),
            names,
            troubles: found.troubles,
        })
    }

    pub(super) fn len(&self) -> u64 {
        usize_as_u64(self.list.len())
    }

    /// Its name in the folder, and the module.
    pub(super) fn get(&self, index: u64) -> Result<&(String, Module), Errno> {
        self.list.get(u64_as_usize(index)).ok_or(Errno::ENOENT)
    }

    pub(super) fn find(&self, name: &str) -> Option<u64> {
        self.names.find(name)
    }
}
