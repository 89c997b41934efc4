// SPDX-License-Identifier: MIT OR Apache-2.0
//! `linpmem-dump ps`: the processes in an image.

use super::machine_in_image::{InspectError, Opened, exit_status, in_words, seconds};
use crate::args::PsArgs;
use crate::text::ps::{FoundBy, PsDocument, TaskRow};
use linpmem_cli::{ExitStatus, Stderr};
use linpmem_inspect::{Error, Machine, Task, Trouble};
use linpmem_manifest::Address;
use std::collections::{HashMap, HashSet};

/// Lists the tasks in the image of `args`.
///
/// # Errors
/// If the image does not open, or its kernel is not found.
pub fn ps(args: &PsArgs, stderr: Stderr) -> Result<(PsDocument, ExitStatus), InspectError> {
    let opened = Opened::open(&args.inspect, stderr)?;
    let machine = opened.machine()?;
    let mut listed = machine.tasks()?;
    let numbered = machine.tasks_by_pid()?;
    listed.troubles.append(numbered.troubles);
    let by_number: HashSet<u64> = numbered.items.iter().map(|entry| entry.task).collect();
    let by_list: HashSet<u64> = listed.items.iter().map(|task| task.address).collect();
    let mut tasks: Vec<(Task, FoundBy)> = Vec::new();
    for task in listed.items {
        // The task that a processor idles with has the number 0, which is in no tree.
        let found = match task.pid == 0 || by_number.contains(&task.address) {
            true => FoundBy::Both,
            false => FoundBy::List,
        };
        tasks.push((task, found));
    }
    for entry in numbered.items {
        if !by_list.contains(&entry.task) {
            match machine.task(entry.task) {
                Ok(task) => tasks.push((task, FoundBy::Number)),
                Err(error) => listed.troubles.push(Trouble::Unreadable {
                    what: "task that only the tree of process numbers has",
                    error,
                }),
            }
        }
    }
    let mut threads = HashMap::new();
    for (task, _) in &tasks {
        *threads.entry(task.tgid).or_insert(0_u64) += 1;
    }
    let rows = tasks
        .iter()
        .filter(|(task, found)| {
            args.threads || !task.is_further_thread() || *found != FoundBy::Both
        })
        .map(|(task, found)| {
            let threads = threads.get(&task.tgid).copied().unwrap_or(0);
            row(&machine, task, *found, threads)
        })
        .collect::<Result<Vec<_>, Error>>()?;
    let document = PsDocument {
        image: args.inspect.image.to_string_lossy().into_owned(),
        banner: machine.banner().to_owned(),
        tasks: rows,
        troubles: in_words(&listed.troubles),
        more_troubles: listed.troubles.more(),
    };
    let status = exit_status(opened.is_cut_off(), document.troubles.is_empty());
    Ok((document, status))
}

fn row(
    machine: &Machine<'_>,
    task: &Task,
    found_by: FoundBy,
    threads: u64,
) -> Result<TaskRow, Error> {
    let arguments = match machine.arguments(task) {
        Ok(arguments) => arguments,
        Err(Error::Memory(_)) => None,
        Err(error) => return Err(error),
    };
    let missing = arguments.as_ref().and_then(|found| found.missing.as_ref());
    Ok(TaskRow {
        pid: task.pid,
        tgid: task.tgid,
        ppid: task.ppid,
        uid: task.uid,
        state: task.state,
        start_seconds: task.start_ns.map(seconds),
        threads,
        name: task.name.clone(),
        is_kernel_thread: task.is_kernel_thread,
        arguments_missing: missing.map(ToString::to_string),
        arguments: arguments.map(|found| found.words),
        address: Address(task.address),
        page_table: task.page_table.map(Address),
        found_by,
    })
}
