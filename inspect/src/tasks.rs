// SPDX-License-Identifier: MIT OR Apache-2.0
//! Processes and threads.

use crate::address_space::AddressSpace;
use crate::error::{Error, MemoryError};
use crate::found::Found;
use crate::list::MAX_ITEMS;
use crate::machine::{Machine, Struct};
use crate::trouble::Trouble;
use crate::troubles::Troubles;
use linpmem_phys::num::u64_as_usize;
use std::collections::HashSet;
use std::ops::Range;

/// `PF_KTHREAD`: the task is the kernel's own.
const KERNEL_THREAD: u64 = 0x0020_0000;
/// What ps(1) shows of a state, from none of its bits to the highest (`TASK_REPORT`).
const STATES: [char; 8] = ['R', 'S', 'D', 'T', 't', 'X', 'Z', 'P'];
/// `TASK_IDLE`: waits, and does not count as load.
const IDLE: u64 = 0x402;
/// `TASK_RTLOCK_WAIT` and `TASK_FROZEN`, which are reported as waiting.
const WAITING: u64 = 0x1000 | 0x8000;
/// Bytes of a command line that are read.
const MAX_ARGUMENTS: u64 = 4096;
/// Words of a command line that are kept: each byte of it can be an empty one.
const MAX_WORDS: usize = 256;
/// What is said of a task that cannot be read as a whole.
const TASK: &str = "task";

/// A process, or one of its threads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// Where its `task_struct` is.
    pub address: u64,
    /// Its own number; what a program calls the number of a thread.
    pub pid: i32,
    /// The number of its process: `pid`, except for threads.
    pub tgid: i32,
    /// The process that it belongs to.
    pub ppid: Option<i32>,
    /// Its name, of at most 15 bytes.
    pub name: String,
    /// The user whose files it creates.
    pub uid: Option<u32>,
    /// As ps(1) shows it: R, S, D, T, t, X, Z, P or I.
    pub state: Option<char>,
    /// Nanoseconds from the boot to its start.
    pub start_ns: Option<u64>,
    /// Whether it is the kernel's own.
    pub is_kernel_thread: bool,
    /// Where its `mm_struct` is, if it has memory of its own.
    pub mm: Option<u64>,
    /// The physical address of its top page table.
    pub page_table: Option<u64>,
}

/// A command line, as the process itself has it in its memory: it may have changed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arguments {
    /// The arguments, as far as they could be read.
    pub words: Vec<String>,
    /// Why there are no more of them.
    pub missing: Option<MemoryError>,
    /// Whether there are more than are read.
    pub is_cut: bool,
}

/// Where a process keeps the texts that it was started with: addresses of its own memory, each
/// with the one after the last. It may have changed both the texts and the addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskTexts {
    /// The command line.
    pub arguments: Range<u64>,
    /// The environment.
    pub environment: Range<u64>,
}

impl Task {
    /// Whether it is a thread of a process other than its first one.
    #[must_use]
    pub const fn is_further_thread(&self) -> bool {
        self.pid != self.tgid
    }
}

impl Machine<'_> {
    /// Every task of the list that begins with `init_task`: each process, followed by its
    /// further threads.
    ///
    /// # Errors
    /// If the kernel has no such list.
    pub fn tasks(&self) -> Result<Found<Task>, Error> {
        const PROCESSES: &str = "list of processes";
        const THREADS: &str = "list of threads";
        let init = self.variable("init_task", "task_struct")?;
        let links = self.types().member("task_struct", "tasks")?;
        let head = init.field("tasks")?.address();
        let node = self.types().member("task_struct", "thread_node")?;
        let leaders = self.list(PROCESSES, head, links.offset);
        let mut found = Found {
            items: Vec::new(),
            troubles: leaders.troubles,
        };
        let mut seen = HashSet::new();
        for leader in std::iter::once(init.address()).chain(leaders.items) {
            if !self.add_task(leader, PROCESSES, &mut seen, &mut found)? {
                break;
            }
            let process = self.structure("task_struct", leader)?;
            let threads = process
                .field("signal")
                .and_then(|signal| signal.follow_if_any())
                .and_then(|signal| signal.map(|signal| signal.field("thread_head")).transpose());
            match threads {
                Ok(Some(head)) => {
                    let threads = self.list(THREADS, head.address(), node.offset);
                    found.troubles.append(threads.troubles);
                    for thread in threads.items {
                        if !self.add_task(thread, THREADS, &mut seen, &mut found)? {
                            break;
                        }
                    }
                }
                Ok(None) => {}
                Err(error @ Error::Memory(_)) => found.troubles.push(Trouble::Unreadable {
                    what: THREADS,
                    error,
                }),
                Err(other) => return Err(other),
            }
        }
        Ok(found)
    }

    /// Adds the task at `at`, unless it was there before; returns whether another one may be
    /// added.
    fn add_task(
        &self,
        at: u64,
        what: &'static str,
        seen: &mut HashSet<u64>,
        found: &mut Found<Task>,
    ) -> Result<bool, Error> {
        if seen.contains(&at) {
            return Ok(true);
        }
        if seen.len() == MAX_ITEMS {
            let limit = MAX_ITEMS;
            found.troubles.push(Trouble::TooMany { what, limit });
            return Ok(false);
        }
        seen.insert(at);
        match self.task(at, &mut found.troubles) {
            Ok(task) => found.items.push(task),
            Err(error @ Error::Memory(_)) => {
                let may_go_on = !error.is_too_much();
                found.troubles.push(Trouble::Unreadable { what, error });
                return Ok(may_go_on);
            }
            Err(other) => return Err(other),
        }
        Ok(true)
    }

    /// The task whose `task_struct` is at `address`. What cannot be read of it, other than its
    /// numbers and its name, is missing, and is said among `troubles`.
    ///
    /// # Errors
    /// If its numbers or its name cannot be read.
    pub fn task(&self, address: u64, troubles: &mut Troubles) -> Result<Task, Error> {
        let task = self.structure("task_struct", address)?;
        let mm = task.field("mm").and_then(|mm| mm.u64());
        let mm = known(mm, troubles).filter(|&mm| mm != 0);
        let flags = task.field("flags").and_then(|flags| flags.u64());
        let flags = known(flags, troubles).unwrap_or(0);
        let start = task
            .first_of(&["start_boottime", "real_start_time"])
            .and_then(|start| start.u64());
        Ok(Task {
            address,
            pid: task.field("pid")?.i32()?,
            tgid: task.field("tgid")?.i32()?,
            ppid: known(ppid(task), troubles),
            name: task.field("comm")?.text()?,
            uid: known(uid(task), troubles),
            state: known(state(task), troubles),
            start_ns: known(start, troubles),
            is_kernel_thread: flags & KERNEL_THREAD != 0,
            mm,
            page_table: mm.and_then(|mm| known(self.page_table(mm), troubles)),
        })
    }

    /// Where the task is that the first processor idles with: the list of all begins with it, and
    /// it alone has no number.
    ///
    /// # Errors
    /// If the symbol is missing.
    pub fn idle_task(&self) -> Result<u64, Error> {
        self.symbol("init_task")
    }

    /// The physical address of the top page table of the `mm_struct` at `mm`.
    fn page_table(&self, mm: u64) -> Result<u64, Error> {
        let pgd = self.structure("mm_struct", mm)?.field("pgd")?.u64()?;
        Ok(self.phys(pgd)?)
    }

    /// The address space of `task`, if it has one.
    #[must_use]
    pub fn space_of(&self, task: &Task) -> Option<AddressSpace> {
        Some(self.kernel().with_root(task.page_table?))
    }

    /// Where `task` keeps its command line and its environment; both are empty for one without
    /// memory of its own.
    ///
    /// # Errors
    /// If that cannot be read.
    pub fn texts(&self, task: &Task) -> Result<TaskTexts, Error> {
        let Some(mm) = task.mm else {
            return Ok(TaskTexts::default());
        };
        let mm = self.structure("mm_struct", mm)?;
        let at = |member| mm.field(member)?.u64();
        Ok(TaskTexts {
            arguments: at("arg_start")?..at("arg_end")?,
            environment: at("env_start")?..at("env_end")?,
        })
    }

    /// The command line of `task`; `None` for one without memory of its own.
    ///
    /// # Errors
    /// If it cannot be found where it is.
    pub fn arguments(&self, task: &Task) -> Result<Option<Arguments>, Error> {
        let (Some(mm), Some(space)) = (task.mm, self.space_of(task)) else {
            return Ok(None);
        };
        let mm = self.structure("mm_struct", mm)?;
        let [start, end] = [mm.field("arg_start")?.u64()?, mm.field("arg_end")?.u64()?];
        let len = end.saturating_sub(start);
        let mut bytes = vec![0; u64_as_usize(len.min(MAX_ARGUMENTS))];
        let (read, missing) = self.read_some_in(space, start, &mut bytes);
        bytes.truncate(read);
        let text = bytes.strip_suffix(&[0]).unwrap_or(&bytes);
        let mut parts = text.split(|&byte| byte == 0);
        let words = match text.is_empty() {
            true => Vec::new(),
            false => parts
                .by_ref()
                .take(MAX_WORDS)
                .map(|word| String::from_utf8_lossy(word).into_owned())
                .collect(),
        };
        let has_more_words = !text.is_empty() && parts.next().is_some();
        Ok(Some(Arguments {
            words,
            missing,
            is_cut: len > MAX_ARGUMENTS || has_more_words,
        }))
    }
}

/// What was read of a task; what cannot be is said. Members that a kernel lacks are just not
/// known.
fn known<T>(read: Result<T, Error>, troubles: &mut Troubles) -> Option<T> {
    match read {
        Ok(value) => Some(value),
        Err(error @ (Error::Memory(_) | Error::Null { .. })) => {
            troubles.push(Trouble::Unreadable { what: TASK, error });
            None
        }
        Err(_) => None,
    }
}

fn ppid(task: Struct<'_>) -> Result<i32, Error> {
    let parent = task.field("real_parent")?.follow()?;
    parent.field("tgid")?.i32()
}

fn uid(task: Struct<'_>) -> Result<u32, Error> {
    // ps(1) shows the one that counts when the task acts.
    let uid = task.field("cred")?.follow()?.field("euid.val")?.u64()?;
    Ok(u32::try_from(uid).unwrap_or(u32::MAX))
}

/// As the kernel's `task_state_index` has it.
fn state(task: Struct<'_>) -> Result<char, Error> {
    let state = task.first_of(&["__state", "state"])?.u64()?;
    // In this order: an idle task may be frozen.
    if state & WAITING != 0 {
        return Ok('D');
    }
    if state & IDLE == IDLE {
        return Ok('I');
    }
    let reported = (state | task.field("exit_state")?.u64()?) & 0x7f;
    let index = u64::BITS - reported.leading_zeros();
    let letter = STATES.get(usize::try_from(index).unwrap_or(usize::MAX));
    Ok(letter.copied().unwrap_or('?'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Reason;
    use crate::testing::{DIRECT, Of, Tasks};

    fn pids(found: &Found<Task>) -> Vec<i32> {
        found.items.iter().map(|task| task.pid).collect()
    }

    #[test]
    fn processes_are_listed_with_their_threads_behind_them() {
        let mut tasks = Tasks::new(&[]);
        let one = tasks.process(1, "init");
        let two = tasks.process(2, "kthreadd");
        tasks.thread(one, 1, 7, "worker");
        tasks.kernel.put_u32(two + 56, 0x0020_0040);
        tasks.kernel.put_u32(two + 60, 0x402);
        tasks.memory(one, b"/sbin/init\0--now\0");
        let image = tasks.kernel.image();
        let machine = image.machine();
        let found = machine.tasks().unwrap();
        assert_eq!((pids(&found), found.troubles.len()), (vec![0, 1, 7, 2], 0));
        let [idle, init, thread, kernel] = &found.items[..] else {
            panic!("{found:?}");
        };
        assert_eq!((idle.name.as_str(), idle.state), ("swapper/0", Some('R')));
        assert_eq!((init.name.as_str(), init.tgid), ("init", 1));
        assert_eq!((init.ppid, init.uid), (Some(0), Some(1000)));
        assert_eq!(init.start_ns, Some(1_000_000_000));
        assert!(thread.is_further_thread() && !init.is_further_thread());
        assert!(kernel.is_kernel_thread && !init.is_kernel_thread);
        assert_eq!((kernel.state, kernel.mm), (Some('I'), None));
        assert_eq!(machine.arguments(kernel), Ok(None));
        let arguments = machine.arguments(init).unwrap().unwrap();
        assert_eq!(arguments.words, ["/sbin/init", "--now"]);
        assert_eq!((arguments.missing, arguments.is_cut), (None, false));
    }

    #[test]
    fn arguments_are_read_as_far_as_they_are_in_memory() {
        let mut tasks = Tasks::new(&[]);
        let one = tasks.process(1, "init");
        let mm = tasks.memory(one, b"init");
        // The page after it was swapped out.
        let len = 0x1000 + 8;
        tasks.kernel.put(mm + 16, 0x40_0000 + len);
        let image = tasks.kernel.image();
        let machine = image.machine();
        let init = machine.task(one, &mut Troubles::default()).unwrap();
        let arguments = machine.arguments(&init).unwrap().unwrap();
        assert_eq!(arguments.words.first().map(String::as_str), Some("init"));
        assert!(arguments.is_cut);

        let mut tasks = Tasks::new(&[]);
        let one = tasks.process(1, "init");
        let mm = tasks.memory(one, b"init");
        tasks.kernel.put(mm + 8, 0x40_0ffe);
        tasks.kernel.put(mm + 16, 0x40_1004);
        let image = tasks.kernel.image();
        let machine = image.machine();
        let init = machine.task(one, &mut Troubles::default()).unwrap();
        let missing = machine.arguments(&init).unwrap().unwrap().missing.unwrap();
        assert_eq!(missing.address, 0x40_1000);
        assert_eq!(missing.reason, Reason::NotMapped);
    }

    #[test]
    fn texts_are_where_the_process_says() {
        let environment = [
            ("env_start", Of::Number(8), 24),
            ("env_end", Of::Number(8), 32),
        ];
        let mut tasks = Tasks::new(&environment);
        let one = tasks.process(1, "init");
        let mm = tasks.memory(one, b"init");
        tasks.kernel.put(mm + 24, 0x40_0010);
        tasks.kernel.put(mm + 32, 0x40_0020);
        let image = tasks.kernel.image();
        let machine = image.machine();
        let found = machine.tasks().unwrap();
        let [idle, init] = [&found.items[0], &found.items[1]];
        assert_eq!(machine.texts(idle), Ok(TaskTexts::default()));
        let texts = machine.texts(init).unwrap();
        assert_eq!(texts.arguments, 0x40_0000..0x40_0004);
        assert_eq!(texts.environment, 0x40_0010..0x40_0020);
    }

    #[test]
    fn a_command_line_of_empty_words_is_cut() {
        let mut tasks = Tasks::new(&[]);
        let one = tasks.process(1, "init");
        tasks.memory(one, &[0; 4096]);
        let image = tasks.kernel.image();
        let machine = image.machine();
        let init = machine.task(one, &mut Troubles::default()).unwrap();
        let arguments = machine.arguments(&init).unwrap().unwrap();
        assert_eq!((arguments.words.len(), arguments.is_cut), (256, true));
    }

    #[test]
    fn states_are_those_of_ps() {
        for (state, exit, letter) in [
            (0, 0, 'R'),
            (1, 0, 'S'),
            (2, 0, 'D'),
            (0x1000, 0, 'D'),
            (0x8001, 0, 'D'),
            (4, 0, 'T'),
            (8, 0, 't'),
            (0x80, 0x20, 'Z'),
            (0x80, 0x10, 'X'),
            (0x40, 0, 'P'),
            (0x402, 0, 'I'),
            (0x8402, 0, 'D'),
        ] {
            let mut tasks = Tasks::new(&[]);
            let one = tasks.process(1, "init");
            tasks.kernel.put_u32(one + 60, state);
            tasks.kernel.put_u32(one + 64, exit);
            let image = tasks.kernel.image();
            let task = image.machine().task(one, &mut Troubles::default()).unwrap();
            assert_eq!(task.state, Some(letter), "{state:#x} {exit:#x}");
        }
    }

    #[test]
    fn a_task_whose_page_is_missing_is_said_and_the_others_are_listed() {
        let mut tasks = Tasks::new(&[]);
        tasks.process(1, "init");
        let two = tasks.process(2, "lost");
        tasks.process(3, "last");
        tasks.kernel.lose(two);
        let image = tasks.kernel.image();
        let found = image.machine().tasks().unwrap();
        assert_eq!((pids(&found), found.troubles.len()), (vec![0, 1, 3], 1));
    }

    #[test]
    fn members_that_lead_nowhere_are_missing() {
        let mut tasks = Tasks::new(&[]);
        let one = tasks.process(1, "init");
        for member in [72, 80, 88, 96] {
            tasks.kernel.put(one + member, DIRECT + (1 << 45));
        }
        let image = tasks.kernel.image();
        let machine = image.machine();
        let found = machine.tasks().unwrap();
        // Parent, signals, memory and credentials.
        assert_eq!((pids(&found), found.troubles.len()), (vec![0, 1], 4));
        let task = &found.items[1];
        assert_eq!((task.ppid, task.uid, task.page_table), (None, None, None));
        assert_eq!(machine.arguments(task), Ok(None));
    }
}
