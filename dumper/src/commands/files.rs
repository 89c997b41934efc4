// SPDX-License-Identifier: MIT OR Apache-2.0
//! `linpmem-dump files`: the open files of the processes in an image.

use super::file_tables::FileTables;
use super::machine_in_image::{InspectError, Opened, exit_status, in_words, require};
use crate::args::FilesArgs;
use crate::text::files::{FileRow, FilesDocument, ProcessFiles, Role};
use linpmem_cli::{ExitStatus, Stderr};
#[cfg(feature = "mount")]
use linpmem_inspect::Found;
use linpmem_inspect::{Access, Device, FileRole, OpenFile};
use linpmem_inspect::{AllTasks, FoundTask, Task};
use linpmem_manifest::Address;

/// Bytes that the files of all processes and their paths may take.
const MAX_BYTES: u64 = 256 << 20;

/// Lists the open files in the image of `args`.
///
/// # Errors
/// If the image does not open, its kernel is not found, or it has no such process.
pub fn files(
    args: &FilesArgs,
    stderr: Stderr,
) -> Result<(FilesDocument, ExitStatus), InspectError> {
    let opened = Opened::open(&args.inspect, stderr)?;
    let machine = opened.machine()?;
    let all = AllTasks::of(&machine)?;
    require(&all, &args.pid, &args.inspect.image, |_| true)?;
    let mut is_sound = all.is_sound();
    let mut troubles = all.troubles;
    let mut tables = FileTables::default();
    let mut rows = Vec::new();
    let mut room = MAX_BYTES;
    for found in &all.tasks {
        let FoundTask { task, .. } = found;
        if room == 0 {
            break;
        }
        let is_wanted = args.pid.is_empty() || args.pid.iter().any(|&pid| found.is_of(pid));
        if !is_wanted || !tables.is_new(&machine, found, &mut troubles)? {
            continue;
        }
        let open = machine.open_files(task, &mut room)?;
        troubles.append(open.troubles);
        if args.pid.is_empty() && open.items.is_empty() {
            continue;
        }
        rows.push(process(task, open.items));
    }
    is_sound &= troubles.is_empty();
    let document = FilesDocument {
        image: args.inspect.image.to_string_lossy().into_owned(),
        processes: rows,
        troubles: in_words(&troubles),
        more_troubles: troubles.more(),
    };
    Ok((document, exit_status(opened.is_cut_off(), is_sound)))
}

/// The files that were found of one process.
#[cfg(feature = "mount")]
pub(super) fn document_of(task: &Task, found: Found<OpenFile>) -> FilesDocument {
    FilesDocument {
        image: String::new(),
        troubles: in_words(&found.troubles),
        more_troubles: found.troubles.more(),
        processes: vec![process(task, found.items)],
    }
}

fn process(task: &Task, files: Vec<OpenFile>) -> ProcessFiles {
    ProcessFiles {
        pid: task.pid,
        tgid: task.tgid,
        name: task.name.clone(),
        files: files.into_iter().map(row).collect(),
    }
}

fn row(file: OpenFile) -> FileRow {
    let number =
        |device: Option<Device>| device.map(|Device { major, minor }| format!("{major}:{minor}"));
    let (role, fd) = match file.role {
        FileRole::Open(fd) => (Role::Open, Some(fd)),
        FileRole::Cwd => (Role::Cwd, None),
        FileRole::Root => (Role::Root, None),
        FileRole::Exe => (Role::Exe, None),
    };
    FileRow {
        role,
        fd,
        kind: file.kind,
        access: file.access.map(|access| match access {
            Access {
                read: true,
                write: true,
            } => "u",
            Access { read: true, .. } => "r",
            Access { write: true, .. } => "w",
            _ => "-",
        }),
        flags: file.flags.map(Address),
        position_bytes: file.position,
        size_bytes: file.size,
        device: number(file.device),
        special_device: number(file.special),
        inode: file.inode,
        filesystem: file.filesystem,
        path: file.path,
        is_deleted: file.is_deleted,
        address: file.address.map(Address),
    }
}
