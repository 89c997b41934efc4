// SPDX-License-Identifier: MIT OR Apache-2.0
//! `linpmem-dump maps`: the mappings of the processes in an image.

use super::machine_in_image::{InspectError, Opened, exit_status, in_words};
use crate::args::MapsArgs;
use crate::text::maps::{MappingRow, MapsDocument, ProcessRow};
use linpmem_cli::{ExitStatus, Stderr};
use linpmem_manifest::Address;

/// Lists the mappings in the image of `args`.
///
/// # Errors
/// If the image does not open, its kernel is not found, or it has no such process.
pub fn maps(args: &MapsArgs, stderr: Stderr) -> Result<(MapsDocument, ExitStatus), InspectError> {
    let opened = Opened::open(&args.inspect, stderr)?;
    let machine = opened.machine()?;
    let tasks = machine.tasks()?;
    let mut troubles = tasks.troubles;
    let is_wanted = |pid: i32| args.pid.is_empty() || args.pid.contains(&pid);
    let processes: Vec<_> = tasks
        .items
        .iter()
        .filter(|task| !task.is_further_thread() && is_wanted(task.pid))
        .collect();
    for &pid in &args.pid {
        if !processes.iter().any(|task| task.pid == pid) {
            let image = args.inspect.image.clone();
            return Err(InspectError::NoProcess { image, pid });
        }
    }
    let mut rows = Vec::new();
    for task in processes {
        let found = machine.maps(task)?;
        troubles.append(found.troubles);
        if args.pid.is_empty() && found.items.is_empty() {
            continue;
        }
        rows.push(ProcessRow {
            pid: task.pid,
            name: task.name.clone(),
            mappings: found
                .items
                .into_iter()
                .map(|mapping| MappingRow {
                    start: Address(mapping.start),
                    last: Address(mapping.end.saturating_sub(1)),
                    rights: mapping.rights(),
                    flags: Address(mapping.flags),
                    file_offset: mapping.is_file.then_some(mapping.offset),
                    path: mapping.path,
                    address: Address(mapping.address),
                })
                .collect(),
        });
    }
    let document = MapsDocument {
        image: args.inspect.image.to_string_lossy().into_owned(),
        processes: rows,
        troubles: in_words(&troubles),
        more_troubles: troubles.more(),
    };
    let status = exit_status(opened.is_cut_off(), document.troubles.is_empty());
    Ok((document, status))
}
