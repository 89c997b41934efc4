// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which processes /proc listed before memory was read, and after. An image in which others are
//! found is torn, or of a machine on which something hides them.

use super::machine_files::MachineFiles;
use crate::clock;
use serde::{Deserialize, Serialize};
use std::io;
use std::path::Path;

/// Further processes are not listed.
const MAX_PROCESSES: usize = 1 << 17;
/// Where the first namespace of process numbers is the same on every machine (`PROC_PID_INIT_INO`).
const FIRST_NAMESPACE: &str = "pid:[4026531836]";
/// A longer name is cut: a task's has 15 bytes, and the kernel's own threads show up to 63.
const MAX_NAME_LETTERS: usize = 64;

/// What /proc said of processes: the content of `processes.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Processes {
    /// 1; it is increased when a reader of the old form would misunderstand the new one.
    pub processes_version: u32,
    /// Clock ticks in a second, in which the start of a process is counted.
    pub ticks_per_second: u64,
    /// Whether these are the numbers by which the machine's first namespace knows them. Only in that one
    /// are all processes seen.
    pub in_first_namespace: Option<bool>,
    /// Before memory was read.
    pub begin: ListedPids,
    /// When it had been read; none if these files were collected before.
    pub end: Option<ListedProcesses>,
}

/// The numbers of the processes at a moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedPids {
    /// CLOCK_BOOTTIME, just before they were listed.
    pub boottime_ns: u64,
    /// How many threads there were, those of the kernel too, by /proc/loadavg.
    pub threads: Option<u64>,
    /// The numbers.
    pub pids: Vec<i32>,
    /// Whether there were more than are listed.
    #[serde(rename = "cut")]
    pub is_cut: bool,
}

/// The processes at a moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedProcesses {
    /// CLOCK_BOOTTIME, just before they were listed.
    pub boottime_ns: u64,
    /// How many threads there were, those of the kernel too, by /proc/loadavg.
    pub threads: Option<u64>,
    /// The processes.
    pub processes: Vec<ListedProcess>,
    /// Whether there were more than are listed.
    #[serde(rename = "cut")]
    pub is_cut: bool,
}

/// A process, as in /proc/PID/stat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedProcess {
    /// Its number.
    pub pid: i32,
    /// When it was started, in clock ticks after the boot.
    pub start_ticks: u64,
    /// Its name.
    pub name: String,
}

impl ListedPids {
    /// The processes now. Only the folder is read: each process that is looked into takes
    /// memory, which may be evidence until it has been copied.
    pub(super) fn now(files: &MachineFiles) -> io::Result<Self> {
        let boottime_ns = boottime_ns();
        let threads = threads(files);
        let mut pids = files.ask("proc", |proc| {
            let entries = proc.read_dir()?.flatten();
            let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
            let pids = names.filter_map(|name| name.parse().ok());
            Ok(pids.take(MAX_PROCESSES + 1).collect::<Vec<i32>>())
        })?;
        let is_cut = pids.len() > MAX_PROCESSES;
        pids.truncate(MAX_PROCESSES);
        pids.sort_unstable();
        Ok(Self {
            boottime_ns,
            threads,
            pids,
            is_cut,
        })
    }
}

impl ListedProcesses {
    fn now(files: &MachineFiles) -> io::Result<Self> {
        let boottime_ns = boottime_ns();
        let threads = threads(files);
        let mut processes = files.ask("proc", |proc| {
            let all = procfs::process::all_processes_with_root(proc).map_err(io::Error::other)?;
            // One that cannot be read has ended.
            let stats = all.flatten().filter_map(|process| process.stat().ok());
            let listed = stats.map(|stat| ListedProcess {
                pid: stat.pid,
                start_ticks: stat.starttime,
                name: stat.comm.chars().take(MAX_NAME_LETTERS).collect(),
            });
            Ok(listed.take(MAX_PROCESSES + 1).collect::<Vec<_>>())
        })?;
        let is_cut = processes.len() > MAX_PROCESSES;
        processes.truncate(MAX_PROCESSES);
        processes.sort_unstable_by_key(|process| process.pid);
        Ok(Self {
            boottime_ns,
            threads,
            processes,
            is_cut,
        })
    }
}

impl Processes {
    /// Those of now. If `begin` was listed before memory was read, now is the end.
    pub(super) fn now(files: &MachineFiles, begin: Option<&ListedPids>) -> io::Result<Self> {
        let end = begin.map(|_| ListedProcesses::now(files)).transpose()?;
        Ok(Self {
            processes_version: 1,
            ticks_per_second: rustix::param::clock_ticks_per_second(),
            in_first_namespace: namespace(files).map(|name| name == FIRST_NAMESPACE),
            begin: match begin {
                Some(begin) => begin.clone(),
                None => ListedPids::now(files)?,
            },
            end,
        })
    }
}

fn boottime_ns() -> u64 {
    let [_, _, boottime_ns] = clock::all_ns();
    boottime_ns
}

/// The namespace of the numbers in /proc, such as `pid:[4026531836]`.
fn namespace(files: &MachineFiles) -> Option<String> {
    let link = files.ask("proc/self/ns/pid", Path::read_link).ok()?;
    Some(link.to_string_lossy().into_owned())
}

/// The fourth word of /proc/loadavg is such as `2/345`: threads that run, and all of them.
fn threads(files: &MachineFiles) -> Option<u64> {
    let text = files.text("proc/loadavg")?;
    let (_, all) = text.split_whitespace().nth(3)?.split_once('/')?;
    all.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::process::Command;

    #[test]
    fn this_process_is_in_both_lists_and_one_that_was_begun_between_is_in_the_second() {
        let files = MachineFiles::of_this_machine(None);
        let begin = ListedPids::now(&files).unwrap();
        let mut child = Command::new("sleep").arg("100").spawn().unwrap();
        let processes = Processes::now(&files, Some(&begin)).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        let own = i32::try_from(std::process::id()).unwrap();
        let young = i32::try_from(child.id()).unwrap();
        assert!(processes.begin.pids.contains(&own));
        assert!(!processes.begin.pids.contains(&young));
        assert!(processes.begin.threads.unwrap() > 1);
        let end = processes.end.unwrap();
        assert!(end.boottime_ns > begin.boottime_ns);
        let started = |pid: i32| {
            let found = end.processes.iter().find(|process| process.pid == pid);
            found.unwrap().start_ticks
        };
        let tick_ns = 1_000_000_000 / processes.ticks_per_second;
        // This process may have begun in the same tick; who started it did not.
        let parent = i32::try_from(std::os::unix::process::parent_id()).unwrap();
        assert!(started(parent) < started(young) && started(own) <= started(young));
        // A tick may begin before the clock was read.
        assert!((started(young) + 1) * tick_ns >= begin.boottime_ns);
        assert!(started(own) * tick_ns <= begin.boottime_ns);
        let json = serde_json::to_string(&begin).unwrap();
        assert_eq!(serde_json::from_str::<ListedPids>(&json).unwrap(), begin);
    }

    #[test]
    fn numbers_of_a_container_are_those_of_another_namespace() {
        let folder = tempfile::tempdir().unwrap();
        let ns = folder.path().join("proc/self/ns");
        fs::create_dir_all(&ns).unwrap();
        fs::create_dir_all(folder.path().join("proc/17")).unwrap();
        fs::write(folder.path().join("proc/loadavg"), "0.1 0.2 0.3 2/345 99\n").unwrap();
        for (name, is_first) in [(FIRST_NAMESPACE, true), ("pid:[4026532000]", false)] {
            let link = ns.join("pid");
            let _ = fs::remove_file(&link);
            std::os::unix::fs::symlink(name, &link).unwrap();
            let files = MachineFiles::at(folder.path().to_path_buf(), None);
            let processes = Processes::now(&files, None).unwrap();
            assert_eq!(processes.in_first_namespace, Some(is_first));
            assert_eq!(processes.begin.threads, Some(345));
            assert_eq!(
                (&processes.begin.pids[..], processes.end),
                (&[17][..], None)
            );
        }
    }
}
