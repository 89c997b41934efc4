// SPDX-License-Identifier: MIT OR Apache-2.0
//! `linpmem-dump mounts`: what is mounted where, for which processes.

use super::machine_in_image::{InspectError, Opened, exit_status, in_words};
use crate::args::InspectArgs;
use crate::text::mounts::{MountRow, MountsDocument, NamespaceRow};
use linpmem_cli::{ExitStatus, Stderr};
use linpmem_inspect::{AllTasks, Mount};
use linpmem_manifest::Address;
use std::collections::HashMap;

/// Bytes that the mounts of all namespaces may take.
const MAX_BYTES: u64 = 256 << 20;

/// Lists the mounts in the image of `args`.
///
/// # Errors
/// If the image does not open, or its kernel is not found.
pub fn mounts(
    args: &InspectArgs,
    stderr: Stderr,
) -> Result<(MountsDocument, ExitStatus), InspectError> {
    let opened = Opened::open(args, stderr)?;
    let machine = opened.machine()?;
    let all = AllTasks::of(&machine)?;
    let mut is_sound = all.is_sound();
    let mut troubles = all.troubles;
    let mut order = Vec::new();
    let mut processes: HashMap<u64, Vec<i32>> = HashMap::new();
    for found in all.tasks.iter().filter(|found| found.is_process()) {
        if let Some(at) = machine.mount_namespace(&found.task, &mut troubles)? {
            let of = processes.entry(at).or_insert_with(|| {
                order.push(at);
                Vec::new()
            });
            of.push(found.task.pid);
        }
    }
    let mut room = MAX_BYTES;
    let mut namespaces = Vec::new();
    for at in order {
        let found = machine.mounts(at, &mut room)?;
        troubles.append(found.troubles);
        namespaces.push(NamespaceRow {
            inode: found.items.first().and_then(|mount| mount.namespace),
            processes: processes.remove(&at).unwrap_or_default(),
            mounts: found.items.into_iter().map(row).collect(),
            address: Address(at),
        });
    }
    is_sound &= troubles.is_empty();
    let document = MountsDocument {
        image: args.image.to_string_lossy().into_owned(),
        namespaces,
        troubles: in_words(&troubles),
        more_troubles: troubles.more(),
    };
    Ok((document, exit_status(opened.is_cut_off(), is_sound)))
}

fn row(mount: Mount) -> MountRow {
    MountRow {
        id: mount.id,
        parent: mount.parent,
        device: mount
            .device
            .map(|device| format!("{}:{}", device.major, device.minor)),
        root: mount.root,
        mount_point: mount.mount_point,
        options: mount.options,
        filesystem: mount.filesystem,
        source: mount.source,
        filesystem_options: mount.filesystem_options,
        address: Address(mount.address),
    }
}
