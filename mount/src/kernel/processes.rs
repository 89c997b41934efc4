// SPDX-License-Identifier: MIT OR Apache-2.0
//! The processes, each with a folder of its own.

use crate::names::{Names, file_name};
use linpmem_inspect::{AllTasks, Error, FoundTask, Machine, Troubles};
use linpmem_phys::Errno;
use linpmem_phys::num::{u64_as_usize, usize_as_u64};
use std::collections::HashMap;

/// The processes that `ps` shows, in its order.
#[derive(Debug)]
pub(super) struct Processes {
    list: Vec<Process>,
    names: Names,
    pub(super) troubles: Troubles,
}

/// A process.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) found: FoundTask,
    pub(super) threads: u64,
    /// The name of its folder: its number, mostly.
    pub(super) folder: String,
}

impl Processes {
    pub(super) fn of(machine: &Machine<'_>) -> Result<Self, Error> {
        let all = AllTasks::of(machine)?;
        let mut threads: HashMap<i32, u64> = HashMap::new();
        for found in &all.tasks {
            *threads.entry(found.task.tgid).or_insert(0) += 1;
        }
        let mut names = Names::default();
        let mut list = Vec::new();
        for found in all.tasks {
            if !found.is_process() {
                continue;
            }
            let name = match found.task.pid {
                // Only one that was made up; with a minus in it, other names would be ambiguous.
                pid @ ..=-1 => format!("{pid:#x}"),
                pid => pid.to_string(),
            };
            list.push(Process {
                threads: threads.get(&found.task.tgid).copied().unwrap_or(0),
                folder: names.give(&name, usize_as_u64(list.len())),
                found,
            });
        }
        Ok(Self {
            list,
            names,
            troubles: all.troubles,
        })
    }

    pub(super) fn list(&self) -> &[Process] {
        &self.list
    }

    pub(super) fn get(&self, index: u64) -> Result<&Process, Errno> {
        self.list.get(u64_as_usize(index)).ok_or(Errno::ENOENT)
    }

    /// The index of the process whose folder has this name.
    pub(super) fn find(&self, folder: &str) -> Option<u64> {
        self.names.find(folder)
    }

    /// The index of the process whose link has this name.
    pub(super) fn find_link(&self, name: &str) -> Option<u64> {
        let (_, folder) = name.rsplit_once('-')?;
        let index = self.find(folder)?;
        (self.get(index).ok()?.link() == name).then_some(index)
    }
}

impl Process {
    /// The name of its link among the names.
    pub(super) fn link(&self) -> String {
        format!("{}-{}", file_name(&self.found.task.name), self.folder)
    }
}
