// SPDX-License-Identifier: MIT OR Apache-2.0
//! `linpmem-dump maps`: the mappings of the processes in an image.

use super::machine_in_image::{InspectError, Opened, exit_status, in_words, require};
use crate::args::MapsArgs;
use crate::text::maps::{MappingRow, MapsDocument, ProcessRow};
use linpmem_cli::{ExitStatus, Stderr};
#[cfg(feature = "mount")]
use linpmem_inspect::Found;
use linpmem_inspect::{AllTasks, FoundTask, Mapping, Task};
use linpmem_manifest::Address;

/// Bytes that the mappings of all processes and their paths may take.
const MAX_BYTES: u64 = 256 << 20;

/// Lists the mappings in the image of `args`.
///
/// # Errors
/// If the image does not open, its kernel is not found, or it has no such process.
pub fn maps(args: &MapsArgs, stderr: Stderr) -> Result<(MapsDocument, ExitStatus), InspectError> {
    let opened = Opened::open(&args.inspect, stderr)?;
    let machine = opened.machine()?;
    let all = AllTasks::of(&machine)?;
    require(&all, &args.pid, &args.inspect.image, FoundTask::is_process)?;
    let mut is_sound = all.is_sound();
    let mut troubles = all.troubles;
    let is_wanted = |found: &&FoundTask| {
        let mut wanted = args.pid.iter();
        found.is_process() && (args.pid.is_empty() || wanted.any(|&pid| found.has_number(pid)))
    };
    let processes: Vec<_> = all.tasks.iter().filter(is_wanted).collect();
    let mut rows = Vec::new();
    let mut room = MAX_BYTES;
    for FoundTask { task, .. } in processes {
        if room == 0 {
            break;
        }
        let found = machine.maps(task, &mut room)?;
        troubles.append(found.troubles);
        if args.pid.is_empty() && found.items.is_empty() {
            continue;
        }
        rows.push(process(task, found.items));
    }
    is_sound &= troubles.is_empty();
    let document = MapsDocument {
        image: args.inspect.image.to_string_lossy().into_owned(),
        processes: rows,
        troubles: in_words(&troubles),
        more_troubles: troubles.more(),
    };
    let status = exit_status(opened.is_cut_off(), is_sound);
    Ok((document, status))
}

/// The mappings that were found of one process.
#[cfg(feature = "mount")]
pub(super) fn document_of(task: &Task, found: Found<Mapping>) -> MapsDocument {
    MapsDocument {
        image: String::new(),
        troubles: in_words(&found.troubles),
        more_troubles: found.troubles.more(),
        processes: vec![process(task, found.items)],
    }
}

fn process(task: &Task, mappings: Vec<Mapping>) -> ProcessRow {
    ProcessRow {
        pid: task.pid,
        name: task.name.clone(),
        mappings: mappings.into_iter().map(row).collect(),
    }
}

fn row(mapping: Mapping) -> MappingRow {
    MappingRow {
        start: Address(mapping.start),
        last: Address(mapping.end.saturating_sub(1)),
        rights: mapping.rights(),
        flags: Address(mapping.flags),
        file_offset: mapping.is_file.then_some(mapping.offset),
        is_file: mapping.is_file,
        is_deleted: mapping.is_deleted,
        path: mapping.path,
        name: mapping.name,
        address: Address(mapping.address),
    }
}
