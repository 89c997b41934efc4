// SPDX-License-Identifier: MIT OR Apache-2.0
//! The processes in an image, beside those that /proc listed when it was acquired.

use crate::text::check::{ProcessRow, ProcessesRow};
use linpmem_capture::artifacts::{ListedPids, ListedProcess, Processes};
use linpmem_inspect::{FoundTask, Task};
use linpmem_phys::num::usize_as_u64;
use std::collections::{BTreeSet, HashMap, HashSet};

const NS_PER_SECOND: u64 = 1_000_000_000;

/// Compares `found` with `listed`; `idle` is the task that the first processor idles with,
/// which no list of processes has.
pub(super) fn compared(found: &[FoundTask], idle: u64, listed: Option<&Processes>) -> ProcessesRow {
    let of_processes = found.iter().filter(|found| found.task.address != idle);
    let threads = usize_as_u64(of_processes.clone().count());
    let processes: Vec<&Task> = of_processes
        .map(|found| &found.task)
        .filter(|task| !task.is_further_thread())
        .collect();
    let mut row = ProcessesRow {
        in_image: usize_as_u64(processes.len()),
        threads,
        listed_before: None,
        listed_after: None,
        missing: Vec::new(),
        hidden: Vec::new(),
    };
    let Some(listed) = listed else {
        return row;
    };
    row.listed_before = Some(usize_as_u64(listed.begin.pids.len()));
    row.listed_after = listed
        .end
        .as_ref()
        .map(|end| usize_as_u64(end.processes.len()));
    // Another namespace lists only its own, by other numbers.
    if listed.in_first_namespace == Some(false) {
        return row;
    }
    let times = Times::of(listed);
    let found: HashMap<i32, &Task> = processes.iter().map(|&task| (task.pid, task)).collect();
    row.missing = steady(listed, &times)
        .filter(|process| !found.contains_key(&process.pid))
        .map(|process| ProcessRow {
            pid: process.pid,
            name: process.name.clone(),
        })
        .collect();
    row.hidden = hidden(&processes, listed, &times);
    row
}

/// When memory was read, in the clock ticks of /proc.
struct Times {
    ticks_per_second: u64,
    begin: u64,
}

impl Times {
    fn of(listed: &Processes) -> Self {
        let ticks_per_second = listed.ticks_per_second.clamp(1, NS_PER_SECOND);
        let mut times = Self {
            ticks_per_second,
            begin: 0,
        };
        times.begin = times.ticks(listed.begin.boottime_ns);
        times
    }

    const fn ticks(&self, ns: u64) -> u64 {
        ns / (NS_PER_SECOND / self.ticks_per_second)
    }
}

/// The processes that were there all the time.
fn steady<'a>(
    listed: &'a Processes,
    times: &'a Times,
) -> impl Iterator<Item = &'a ListedProcess> + 'a {
    let before: HashSet<i32> = listed.begin.pids.iter().copied().collect();
    let after = listed.end.iter().flat_map(|end| &end.processes);
    after.filter(move |process| {
        // A number may be used again.
        before.contains(&process.pid) && process.start_ticks <= times.begin
    })
}

/// The processes that had been there before memory was read, and that /proc did not list.
fn hidden(processes: &[&Task], listed: &Processes, times: &Times) -> Vec<ProcessRow> {
    let ListedPids { pids, is_cut, .. } = &listed.begin;
    if *is_cut || listed.in_first_namespace.is_none() {
        return Vec::new();
    }
    let after = listed.end.iter().flat_map(|end| &end.processes);
    let known: BTreeSet<i32> = after
        .map(|process| process.pid)
        .chain(pids.iter().copied())
        .collect();
    let is_older = |task: &Task| {
        let start = task.start_ns.map(|ns| times.ticks(ns));
        start.is_some_and(|start| start < times.begin)
    };
    processes
        .iter()
        .filter(|task| !known.contains(&task.pid) && is_older(task))
        .map(|task| ProcessRow {
            pid: task.pid,
            name: task.name.clone(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use linpmem_capture::artifacts::ListedProcesses;
    use linpmem_inspect::FoundBy;

    const TICK_NS: u64 = 10_000_000;
    const NONE: [i32; 0] = [];

    fn task(pid: i32, start_ticks: u64) -> FoundTask {
        FoundTask {
            task: Task {
                address: u64::try_from(pid).unwrap() * 0x1000,
                pid,
                tgid: pid,
                ppid: None,
                name: format!("p{pid}"),
                uid: None,
                state: None,
                start_ns: Some(start_ticks * TICK_NS + 7),
                is_kernel_thread: false,
                mm: None,
                page_table: None,
            },
            found_by: FoundBy::Both,
            other_number: None,
        }
    }

    fn listed(before: &[i32], after: Option<&[(i32, u64)]>) -> Processes {
        Processes {
            processes_version: 1,
            ticks_per_second: 100,
            in_first_namespace: Some(true),
            begin: ListedPids {
                boottime_ns: 500 * TICK_NS,
                threads: None,
                pids: before.to_vec(),
                is_cut: false,
            },
            end: after.map(|after| ListedProcesses {
                boottime_ns: 900 * TICK_NS,
                threads: None,
                processes: after
                    .iter()
                    .map(|&(pid, start_ticks)| ListedProcess {
                        pid,
                        start_ticks,
                        name: format!("p{pid}"),
                    })
                    .collect(),
                is_cut: false,
            }),
        }
    }

    fn pids(rows: &[ProcessRow]) -> Vec<i32> {
        rows.iter().map(|row| row.pid).collect()
    }

    #[test]
    fn processes_that_came_or_went_meanwhile_are_neither_missing_nor_hidden() {
        // 2 ended, 3 came, and the number 4 was used twice.
        let listed = listed(&[1, 2, 4], Some(&[(1, 0), (3, 600), (4, 700)]));
        let found = [task(0, 0), task(1, 0), task(3, 600)];
        let row = compared(&found, 0, Some(&listed));
        assert_eq!((row.in_image, row.threads), (2, 2));
        assert_eq!((row.listed_before, row.listed_after), (Some(3), Some(3)));
        assert_eq!((pids(&row.missing), pids(&row.hidden)), (vec![], vec![]));
        // One that came and went.
        let found = [task(1, 0), task(5, 550)];
        assert_eq!(pids(&compared(&found, 0, Some(&listed)).hidden), NONE);
    }

    #[test]
    fn a_steady_process_that_the_image_lacks_is_missing() {
        let listed = listed(&[1, 2], Some(&[(1, 0), (2, 500)]));
        let row = compared(&[task(1, 0)], 0, Some(&listed));
        assert_eq!(pids(&row.missing), [2]);
    }

    #[test]
    fn a_process_from_before_that_proc_does_not_list_is_hidden() {
        for after in [None, Some(&[(1, 0)][..])] {
            let listed = listed(&[1], after);
            let row = compared(&[task(1, 0), task(66, 499)], 0, Some(&listed));
            assert_eq!(pids(&row.hidden), [66]);
            // In the same tick as the list, it may have come after it.
            let row = compared(&[task(1, 0), task(66, 500)], 0, Some(&listed));
            assert_eq!(pids(&row.hidden), NONE);
        }
    }

    #[test]
    fn what_a_container_lists_is_not_compared() {
        for is_first in [Some(false), None] {
            let mut listed = listed(&[1], None);
            listed.in_first_namespace = is_first;
            let row = compared(&[task(1, 0), task(66, 1)], 0, Some(&listed));
            assert_eq!(pids(&row.hidden), NONE);
            assert_eq!(row.listed_before, Some(1));
        }
        let row = compared(&[task(1, 0)], 0, None);
        assert_eq!((row.listed_before, row.in_image), (None, 1));
    }
}
