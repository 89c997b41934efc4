// SPDX-License-Identifier: MIT OR Apache-2.0
//! The tasks in an image, by both ways that lead to them.

use crate::error::Error;
use crate::machine::Machine;
use crate::tasks::Task;
use crate::trouble::Trouble;
use crate::troubles::Troubles;
use std::collections::{HashMap, HashSet};

/// Where a task was found: in the list of all, or by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FoundBy {
    /// In both, as it has to be.
    Both,
    /// Only in the list.
    List,
    /// Only by its number.
    Number,
}

/// The tasks, in the order of the kernel's list; then those that the list lacks.
#[derive(Debug)]
pub struct AllTasks {
    /// The tasks.
    pub tasks: Vec<FoundTask>,
    /// What was wrong on the way.
    pub troubles: Troubles,
}

/// A task, and how it was found.
#[derive(Debug)]
pub struct FoundTask {
    /// The task.
    pub task: Task,
    /// Which ways led to it.
    pub found_by: FoundBy,
    /// The number by which the kernel finds it, if it is not the one that the task has.
    pub other_number: Option<u64>,
}

impl FoundTask {
    /// Whether it is what a list of processes shows.
    #[must_use]
    pub const fn is_process(&self) -> bool {
        // What is hidden is shown, whatever number of a process it has.
        !self.task.is_further_thread() || !self.is_sound()
    }

    /// Whether it has the number `pid`, by whichever way.
    #[must_use]
    pub fn has_number(&self, pid: i32) -> bool {
        let other = self.other_number;
        self.task.pid == pid || other.is_some_and(|other| Ok(other) == pid.try_into())
    }

    /// Whether it is the process `pid`, or one of its threads.
    #[must_use]
    pub fn is_of(&self, pid: i32) -> bool {
        self.has_number(pid) || self.task.tgid == pid
    }

    /// Whether both ways led to it, by one number.
    #[must_use]
    pub const fn is_sound(&self) -> bool {
        matches!(self.found_by, FoundBy::Both) && self.other_number.is_none()
    }
}

impl AllTasks {
    /// Those of `machine`.
    ///
    /// # Errors
    /// If the kernel keeps its tasks in another way.
    pub fn of(machine: &Machine<'_>) -> Result<Self, Error> {
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

    /// Whether both ways led to all of them, and nothing else was wrong.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.troubles.is_empty() && self.tasks.iter().all(FoundTask::is_sound)
    }
}
