// SPDX-License-Identifier: MIT OR Apache-2.0
//! `linpmem-dump ps`: the processes in an image.

use super::machine_in_image::{InspectError, Opened, exit_status, in_words};
use crate::args::PsArgs;
use crate::text::ps::{PsDocument, TaskRow};
use linpmem_cli::{ExitStatus, Stderr};
use linpmem_inspect::{AllTasks, Error, FoundTask, Machine, Trouble, Troubles};
use linpmem_manifest::Address;
use std::collections::HashMap;
use std::time::Duration;

const ARGUMENTS: &str = "command line of a process";
/// Bytes of all command lines that are kept: a million tasks may have 4096 each.
const MAX_ARGUMENTS: usize = 64 << 20;

/// Lists the tasks in the image of `args`.
///
/// # Errors
/// If the image does not open, or its kernel is not found.
pub fn ps(args: &PsArgs, stderr: Stderr) -> Result<(PsDocument, ExitStatus), InspectError> {
    let opened = Opened::open(&args.inspect, stderr)?;
    let machine = opened.machine()?;
    let mut all = AllTasks::of(&machine)?;
    let mut threads = HashMap::new();
    for found in &all.tasks {
        *threads.entry(found.task.tgid).or_insert(0_u64) += 1;
    }
    let mut room = MAX_ARGUMENTS;
    let mut rows = Vec::new();
    for found in &all.tasks {
        if args.threads || found.is_process() {
            let threads = threads.get(&found.task.tgid).copied().unwrap_or(0);
            rows.push(row(&machine, found, threads, &mut room, &mut all.troubles)?);
        }
    }
    let status = exit_status(opened.is_cut_off(), all.is_sound());
    let document = PsDocument {
        image: args.inspect.image.to_string_lossy().into_owned(),
        banner: machine.banner().to_owned(),
        tasks: rows,
        troubles: in_words(&all.troubles),
        more_troubles: all.troubles.more(),
    };
    Ok((document, status))
}

fn row(
    machine: &Machine<'_>,
    found: &FoundTask,
    threads: u64,
    room: &mut usize,
    troubles: &mut Troubles,
) -> Result<TaskRow, Error> {
    let task = &found.task;
    let mut arguments = match machine.arguments(task) {
        Ok(arguments) => arguments,
        Err(error @ Error::Memory(_)) => {
            troubles.push(Trouble::Unreadable {
                what: ARGUMENTS,
                error,
            });
            None
        }
        Err(error) => return Err(error),
    };
    if let Some(arguments) = &mut arguments {
        // A word of one byte takes as much as one of a few.
        let taken = arguments.words.iter().map(|word| word.len() + 32).sum();
        match room.checked_sub(taken) {
            Some(left) => *room = left,
            None => {
                arguments.words.clear();
                arguments.is_cut = true;
            }
        }
    }
    let missing = arguments.as_ref().and_then(|found| found.missing.as_ref());
    Ok(TaskRow {
        pid: task.pid,
        tgid: task.tgid,
        ppid: task.ppid,
        uid: task.uid,
        state: task.state,
        start: task.start_ns.map(Duration::from_nanos),
        threads,
        name: task.name.clone(),
        is_kernel_thread: task.is_kernel_thread,
        arguments_missing: missing.map(ToString::to_string),
        arguments_cut: arguments.as_ref().is_some_and(|found| found.is_cut),
        arguments: arguments.map(|found| found.words),
        address: Address(task.address),
        page_table: task.page_table.map(Address),
        found_by: found.found_by.into(),
        other_number: found.other_number,
    })
}
