// SPDX-License-Identifier: MIT OR Apache-2.0
//! The tasks in an image, by both ways that lead to them.

use super::machine_in_image::InspectError;
use crate::text::ps::FoundBy;
use linpmem_inspect::{Error, Machine, Task, Trouble, Troubles};
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// The tasks, in the order of the kernel's list; then those that the list lacks.
pub(super) struct AllTasks {
    pub(super) tasks: Vec<FoundTask>,
    pub(super) troubles: Troubles,
}

/// A task, and how it was found.
pub(super) struct FoundTask {
    pub(super) task: Task,
    pub(super) found_by: FoundBy,
    /// The number by which the kernel finds it, if it is not the one that the task has.
    pub(super) other_number: Option<u64>,
}

impl FoundTask {
    /// Whether it is what a list of processes shows.
    pub(super) const fn is_process(&self) -> bool {
        // What is hidden is shown, whatever number of a process it has.
        !self.task.is_further_thread() || !self.is_sound()
    }

    /// Whether it has the number `pid`, by whichever way.
    pub(super) fn has_number(&self, pid: i32) -> bool {
        let other = self.other_number;
        self.task.pid == pid || other.is_some_and(|other| Ok(other) == pid.try_into())
    }

    /// Whether it is the process `pid`, or one of its threads.
    pub(super) fn is_of(&self, pid: i32) -> bool {
        self.has_number(pid) || self.task.tgid == pid
    }

    /// Whether both ways led to it, by one number.
    pub(super) const fn is_sound(&self) -> bool {
        matches!(self.found_by, FoundBy::Both) && self.other_number.is_none()
    }
}

impl AllTasks {
    /// Those of `machine`.
    ///
    /// # Errors
    /// If the kernel keeps its tasks in another way.
    pub(super) fn of(machine: &Machine<'_>) -> Result<Self, Error> {
        let idle = machine.idle_task()?;
        let listed = machine.tasks()?;
        let numbered = machine.tasks_by_pid()?;
        let mut troubles = listed.troubles;
        troubles.append(numbered.troubles);
        let mut numbers: HashMap<u64, u64> = HashMap::new();
        for entry in &numbered.items {
            numbers.entry(entry.task).or_insert(entry.pid);
        }
        let found = |task: Task, is_listed: bool| {
            let number = numbers.get(&task.address).copied();
            FoundTask {
                found_by: match (is_listed, number) {
                    (false, _) => FoundBy::Number,
                    // The task that a processor idles with is in no tree.
                    (true, None) if task.address != idle => FoundBy::List,
                    _ => FoundBy::Both,
                },
                other_number: number.filter(|&number| u64::try_from(task.pid) != Ok(number)),
                task,
            }
        };
        let mut seen: HashSet<u64> = listed.items.iter().map(|task| task.address).collect();
        let listed = listed.items.into_iter();
        let mut tasks: Vec<_> = listed.map(|task| found(task, true)).collect();
        for entry in &numbered.items {
            // A task may have two numbers.
            if !seen.insert(entry.task) {
                continue;
            }
            match machine.task(entry.task, &mut troubles) {
                Ok(task) => tasks.push(found(task, false)),
                Err(error @ Error::Memory(_)) => troubles.push(Trouble::Unreadable {
                    what: "task that only the tree of process numbers has",
                    error,
                }),
                Err(other) => return Err(other),
            }
        }
        Ok(Self { tasks, troubles })
    }

    /// Checks that there are tasks with these numbers, of which `is_wanted` is true.
    ///
    /// # Errors
    /// If there is none with one of them in `image`.
    pub(super) fn require(
        &self,
        pids: &[i32],
        image: &Path,
        is_wanted: fn(&FoundTask) -> bool,
    ) -> Result<(), InspectError> {
        for &pid in pids {
            let mut tasks = self.tasks.iter();
            if !tasks.any(|found| is_wanted(found) && found.has_number(pid)) {
                let image = image.to_path_buf();
                return Err(InspectError::NoProcess { image, pid });
            }
        }
        Ok(())
    }

    /// Whether both ways led to all of them, and nothing else was wrong.
    pub(super) fn is_sound(&self) -> bool {
        self.troubles.is_empty() && self.tasks.iter().all(FoundTask::is_sound)
    }
}
