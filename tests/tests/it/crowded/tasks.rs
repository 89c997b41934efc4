// SPDX-License-Identifier: MIT OR Apache-2.0
//! Threads, compared row by row.

use super::{COUNT, Crowd, at, document};
use anyhow::{Context, Result, ensure};
use linpmem_testkit::processes::{in_memory, is_fleeting};
use linpmem_testkit::vm::Vm;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// A thread, as it stays while it is there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    tgid: u64,
    tid: u64,
    parent: u64,
    uid: u64,
    /// In hundredths of a second from the boot.
    start: u64,
    name: String,
}

/// The threads of a machine, with their states.
pub struct Tasks(BTreeMap<Row, String>);

impl Tasks {
    /// What `vm` says now.
    pub fn of(vm: &Vm) -> Result<Self> {
        let output = vm.run(&["tasks"])?.ok()?;
        let lines = output.stdout_text()?.lines();
        let rows = lines.map(|line| row(line).with_context(|| format!("tasks printed `{line}`")));
        Ok(Self(rows.collect::<Result<_>>()?))
    }
}

/// `TGID TID PARENT UID START STATE NAME`
fn row(line: &str) -> Option<(Row, String)> {
    let words: Vec<&str> = line.splitn(7, ' ').collect();
    let number = |index: usize| words.get(index)?.parse().ok();
    let row = Row {
        tgid: number(0)?,
        tid: number(1)?,
        parent: number(2)?,
        uid: number(3)?,
        start: number(4)?,
        name: in_memory(words.get(6)?),
    };
    Some((row, (*words.get(5)?).to_owned()))
}

/// Compares the threads in `image` with what the machine said `before` and `after`. Returns
/// how many are the same.
pub fn compare(image: &Path, before: &Tasks, after: &Tasks, crowd: &Crowd) -> Result<usize> {
    let document = document("ps", image, &["--threads"])?;
    let mut found = BTreeMap::new();
    for task in at(&document, "/tasks").as_array().context("no tasks")? {
        let number = |name: &str| at(task, &format!("/{name}")).as_u64();
        let tid = number("pid").context("no number")?;
        // The one with which the first processor idles is in no list.
        if tid != 0 {
            let start = at(task, "/start_seconds").as_f64().context("no start")?;
            let row = Row {
                tgid: number("tgid").context("no process")?,
                tid,
                parent: number("ppid").context("no parent")?,
                uid: number("uid").context("no user")?,
                start: hundredths(start)?,
                name: text(task, "name")?,
            };
            found.insert(row, text(task, "state")?);
        }
    }
    let steady: Vec<&Row> = before
        .0
        .keys()
        .filter(|row| after.0.contains_key(row))
        .collect();
    let missing: Vec<_> = steady
        .iter()
        .filter(|row| !found.contains_key(**row))
        .collect();
    ensure!(missing.is_empty(), "the image lacks {missing:#?}");
    let ids: BTreeSet<u64> = before
        .0
        .keys()
        .chain(after.0.keys())
        .map(|row| row.tid)
        .collect();
    let surplus: Vec<&Row> = found
        .keys()
        .filter(|row| !ids.contains(&row.tid) && !is_fleeting(&row.name))
        // The threads of the agent, which talks to the host about the dumper.
        .filter(|row| row.tgid != 1)
        .collect();
    ensure!(surplus.is_empty(), "the machine does not have {surplus:#?}");
    of_the_crowd(&found, crowd)?;
    Ok(steady.len())
}

/// All of the crowd is there, asleep, and one process has its threads.
fn of_the_crowd(found: &BTreeMap<Row, String>, crowd: &Crowd) -> Result<()> {
    let (mut children, mut threads) = (0, 0);
    for (row, state) in found {
        let is_child = row.parent == crowd.pid;
        if is_child || row.tgid == crowd.pid {
            ensure!(state == "S", "{row:?} is in state {state}");
        }
        children += u64::from(is_child);
        threads += u64::from(row.tgid == crowd.pid && row.name.starts_with("worker-"));
    }
    ensure!(children == COUNT, "{children} children");
    let expected = at(&crowd.document, "/threads");
    ensure!(*expected == threads, "{threads} threads");
    Ok(())
}

/// Whole hundredths of a second, of a number that has nanoseconds.
fn hundredths(seconds: f64) -> Result<u64> {
    let text = format!("{:.0}", (seconds * 100.0 + 1e-6).floor());
    Ok(text.parse()?)
}

fn text(task: &Value, name: &str) -> Result<String> {
    let text = at(task, &format!("/{name}")).as_str();
    Ok(text
        .with_context(|| format!("no {name} in {task}"))?
        .to_owned())
}

#[test]
fn a_line_is_taken_apart() {
    let (row, state) = row("12 13 1 2 4711 S kworker/0:1-events").expect("a row");
    assert_eq!((row.tgid, row.tid, row.parent, row.uid), (12, 13, 1, 2));
    assert_eq!((row.start, row.name.as_str()), (4711, "kworker/0:1"));
    assert_eq!(state, "S");
    assert_eq!(hundredths(47.11).ok(), Some(4711));
    assert_eq!(hundredths(47.119_999).ok(), Some(4711));
}
