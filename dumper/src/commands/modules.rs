// SPDX-License-Identifier: MIT OR Apache-2.0
//! `linpmem-dump modules`: the kernel modules in an image.

use super::machine_in_image::{InspectError, Opened, exit_status, in_words};
use crate::args::InspectArgs;
use crate::text::modules::{ModuleRow, ModulesDocument};
use linpmem_cli::{ExitStatus, Stderr};
use linpmem_manifest::Address;

/// Lists the modules in the image of `args`.
///
/// # Errors
/// If the image does not open, or its kernel is not found.
pub fn modules(
    args: &InspectArgs,
    stderr: Stderr,
) -> Result<(ModulesDocument, ExitStatus), InspectError> {
    let opened = Opened::open(args, stderr)?;
    let found = opened.machine()?.modules()?;
    let document = ModulesDocument {
        image: args.image.to_string_lossy().into_owned(),
        modules: found
            .items
            .into_iter()
            .map(|module| ModuleRow {
                name: module.name,
                size_bytes: module.size,
                state: module.state,
                taints: module.taints,
                base: Address(module.base),
                address: Address(module.address),
            })
            .collect(),
        troubles: in_words(&found.troubles),
        more_troubles: found.troubles.more(),
    };
    let status = exit_status(opened.is_cut_off(), document.troubles.is_empty());
    Ok((document, status))
}
