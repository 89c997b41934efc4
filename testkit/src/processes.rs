// SPDX-License-Identifier: MIT OR Apache-2.0
//! The guest's own list of its processes and modules, to be compared with what other
//! tools find in its image.

use crate::vm::Vm;
use anyhow::{Context, Result};
use std::collections::BTreeSet;

/// A process: its id and its name as the kernel keeps it.
pub type Process = (u64, String);

/// The bytes of `task_struct.comm` before its NUL.
const NAME_BYTES: usize = 15;

/// The guest's processes.
///
/// # Errors
/// When the guest is in trouble.
pub fn processes(vm: &Vm) -> Result<BTreeSet<Process>> {
    let output = vm.run(&["ps"])?.ok()?;
    output
        .stdout_text()?
        .lines()
        .map(|line| parse(line).with_context(|| format!("ps printed `{line}`")))
        .collect()
}

/// The names of the guest's modules.
///
/// # Errors
/// When the guest is in trouble.
pub fn modules(vm: &Vm) -> Result<BTreeSet<String>> {
    let text = String::from_utf8(vm.read("/proc/modules")?)?;
    let names = text.lines().filter_map(|line| line.split(' ').next());
    Ok(names.map(str::to_owned).collect())
}

/// Whether processes of this name come and go at any time.
///
/// The dumper's threads are among them: a list that is read while it changes can lead to
/// the record of a process that has ended, where a thread's record is by then.
#[must_use]
pub fn is_fleeting(name: &str) -> bool {
    let starts = ["kworker/", "hash-", "work-"];
    starts.iter().any(|start| name.starts_with(start)) || FLEETING.contains(&name)
}

const FLEETING: &[&str] = &[
    // Programs that tests start.
    "ps",
    "cat",
    "linpmem-dump",
    // Threads of linpmem-dump.
    "artifacts",
    "heartbeat",
    "linear-hash",
    "listen",
    "progress",
    "read",
    "source",
    "write",
    "write-behind",
];

fn parse(line: &str) -> Option<Process> {
    let mut words = line.splitn(3, ' ');
    let (pid, _, name) = (words.next()?, words.next()?, words.next()?);
    Some((pid.parse().ok()?, in_memory(name)))
}

/// The name in `task_struct.comm`. /proc shows more: what a worker works on, and the
/// part of a kernel thread's name that was cut off.
#[must_use]
pub fn in_memory(name: &str) -> String {
    let own = match name.strip_prefix("kworker/") {
        Some(rest) if !rest.starts_with("R-") => {
            let end = rest.find(['-', '+']).unwrap_or(rest.len());
            name.get(.."kworker/".len() + end).unwrap_or(name)
        }
        _ => name,
    };
    own.chars().take(NAME_BYTES).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_in_memory() {
        for (shown, kept) in [
            ("init", "init"),
            ("kworker/0:1H-kblockd", "kworker/0:1H"),
            ("kworker/u8:2+flush-8:0", "kworker/u8:2"),
            ("kworker/R-kvfree_rcu_reclaim", "kworker/R-kvfre"),
            ("a b-c", "a b-c"),
        ] {
            assert_eq!(in_memory(shown), kept);
        }
        assert_eq!(parse("7 2 a b"), Some((7, "a b".to_owned())));
        assert_eq!(parse("7 2"), None);
    }
}
