// SPDX-License-Identifier: MIT OR Apache-2.0
//! The modules in an image, beside those that /proc/modules listed when it was acquired.

use crate::text::check::ModulesRow;
use linpmem_capture::artifacts::Machine;
use linpmem_inspect::Module;
use linpmem_phys::num::usize_as_u64;
use std::collections::BTreeSet;

/// Compares `found` with what was listed.
pub(super) fn compared(found: &[Module], known: Option<&Machine>) -> ModulesRow {
    let mut row = ModulesRow {
        in_image: usize_as_u64(found.len()),
        listed: None,
        missing: Vec::new(),
        hidden: Vec::new(),
    };
    let Some(known) = known else {
        return row;
    };
    // One that is being loaded or unloaded is in only one of the two.
    let found: BTreeSet<&str> = found
        .iter()
        .filter(|module| module.state == "live")
        .map(|module| module.name.as_str())
        .collect();
    let listed: BTreeSet<&str> = known
        .modules
        .iter()
        .map(|module| module.name.as_str())
        .collect();
    row.listed = Some(usize_as_u64(listed.len()));
    let names = |names: &[&&str]| names.iter().map(|name| (**name).to_owned()).collect();
    row.missing = names(&listed.difference(&found).collect::<Vec<_>>());
    row.hidden = names(&found.difference(&listed).collect::<Vec<_>>());
    row
}
