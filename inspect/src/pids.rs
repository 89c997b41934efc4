// SPDX-License-Identifier: MIT OR Apache-2.0
//! Tasks by their numbers: the tree in which the kernel looks a number up. Whatever runs has to
//! be in it, or could not be signalled; a task that is in it and not in the list of tasks is
//! hidden from whatever goes by that list.

use crate::error::Error;
use crate::found::Found;
use crate::machine::Machine;
use crate::trouble::Trouble;

const WHAT: &str = "tree of process numbers";

/// A number that a task has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PidEntry {
    /// The number, in the machine's first namespace.
    pub pid: u64,
    /// Where the `task_struct` is.
    pub task: u64,
}

impl Machine<'_> {
    /// Every task by its number, in order. Numbers that only stand for a group or a session
    /// are left out.
    ///
    /// # Errors
    /// If the kernel has no such tree (before Linux 4.15).
    pub fn tasks_by_pid(&self) -> Result<Found<PidEntry>, Error> {
        let namespace = self.variable("init_pid_ns", "pid_namespace")?;
        let tree = namespace.field("idr.idr_rt")?.structure();
        let link = self.types().member("task_struct", "pid_links")?;
        let entries = self.xarray(WHAT, tree)?;
        let mut found = Found {
            items: Vec::new(),
            troubles: entries.troubles,
        };
        for (number, at) in entries.items {
            // The first of its lists is that of tasks (PIDTYPE_PID), and it has one at most.
            let lists = self.structure("pid", at)?.field("tasks")?;
            match lists.index(0)?.structure().field("first")?.u64() {
                Ok(0) => {}
                Ok(first) => found.items.push(PidEntry {
                    pid: number,
                    task: first.wrapping_sub(link.offset),
                }),
                Err(error @ Error::Memory(_)) => {
                    let is_end = error.is_too_much();
                    found
                        .troubles
                        .push(Trouble::Unreadable { what: WHAT, error });
                    if is_end {
                        break;
                    }
                }
                Err(other) => return Err(other),
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{DIRECT, Tasks};
    use crate::troubles::Troubles;

    fn numbers(found: &Found<PidEntry>) -> Vec<(u64, u64)> {
        let entries = found.items.iter();
        entries.map(|entry| (entry.pid, entry.task)).collect()
    }

    #[test]
    fn a_process_that_is_out_of_the_list_is_still_found_by_its_number() {
        let mut tasks = Tasks::new(&[]);
        let one = tasks.process(1, "init");
        let two = tasks.process(2, "rootkit");
        let three = tasks.thread(one, 1, 3, "worker");
        tasks.hide(two);
        let image = tasks.kernel.image();
        let machine = image.machine();
        let listed = machine.tasks().unwrap();
        assert!(listed.items.iter().all(|task| task.address != two));
        let found = machine.tasks_by_pid().unwrap();
        assert_eq!(numbers(&found), [(1, one), (2, two), (3, three)]);
        assert_eq!(found.troubles, []);
        let task = machine.task(two, &mut Troubles::default()).unwrap();
        assert_eq!(task.name, "rootkit");
    }

    #[test]
    fn a_number_of_a_group_without_a_process_is_left_out() {
        let mut tasks = Tasks::new(&[]);
        let one = tasks.process(1, "init");
        let group = tasks.kernel.allocate(40);
        let slot = tasks.slot(9);
        tasks.kernel.put(slot, group);
        let image = tasks.kernel.image();
        let found = image.machine().tasks_by_pid().unwrap();
        assert_eq!(numbers(&found), [(1, one)]);
    }

    #[test]
    fn nodes_that_lead_in_a_circle_or_nowhere_are_said() {
        let mut tasks = Tasks::new(&[]);
        let one = tasks.process(1, "init");
        for (pid, entry) in [
            (2, tasks.numbers | 2),
            (3, DIRECT + (1 << 45)),
            (4, (DIRECT + (1 << 45)) | 2),
            (5, 7),
        ] {
            let slot = tasks.slot(pid);
            tasks.kernel.put(slot, entry);
        }
        let image = tasks.kernel.image();
        let found = image.machine().tasks_by_pid().unwrap();
        assert_eq!(numbers(&found), [(1, one)]);
        let troubles = &found.troubles[..];
        let [
            Trouble::Circle { .. },
            Trouble::Unreadable { .. },
            Trouble::Wild { value: 7, .. },
            Trouble::Unreadable { .. },
        ] = troubles
        else {
            panic!("{troubles:?}");
        };
    }

    #[test]
    fn a_tree_whose_root_is_missing_is_said() {
        let mut tasks = Tasks::new(&[]);
        tasks.process(1, "init");
        // Alone in its page.
        let root = tasks.kernel.aligned_page();
        tasks.kernel.symbol("prb", root);
        tasks.kernel.aligned_page();
        tasks.kernel.lose(root);
        let image = tasks.kernel.image();
        let machine = image.machine();
        let tree = machine.variable("prb", "xarray").unwrap();
        let found = machine.xarray(WHAT, tree).unwrap();
        assert_eq!(found.items, []);
        let unreadable = matches!(found.troubles[..], [Trouble::Unreadable { .. }]);
        assert!(unreadable, "{:?}", found.troubles);
    }

    #[test]
    fn a_shift_of_more_than_an_index_has_is_said() {
        let mut tasks = Tasks::new(&[]);
        tasks.process(1, "init");
        let numbers_at = tasks.numbers;
        tasks.kernel.put_u8(numbers_at, 64);
        let image = tasks.kernel.image();
        let found = image.machine().tasks_by_pid().unwrap();
        assert_eq!(numbers(&found), []);
        let wild = matches!(found.troubles[..], [Trouble::Wild { value: 64, .. }]);
        assert!(wild, "{:?}", found.troubles);
    }
}
