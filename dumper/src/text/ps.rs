// SPDX-License-Identifier: MIT OR Apache-2.0
//! `linpmem-dump ps`: the processes in an image.

use super::{known_seconds, troubles};
use linpmem_cli::table::{self, Align};
use linpmem_cli::{Document, printable};
use linpmem_manifest::Address;
use serde::Serialize;
use std::io::{self, Write};
use std::time::Duration;

/// The tasks in an image.
#[derive(Debug, Serialize)]
pub struct PsDocument {
    /// The image.
    pub image: String,
    /// The kernel's banner, as it is in memory.
    pub banner: String,
    /// The tasks, in the order of the kernel's list; then those that the list lacks.
    pub tasks: Vec<TaskRow>,
    /// What contradicts itself in memory, a sentence each.
    pub troubles: Vec<String>,
    /// How many more there are.
    pub more_troubles: u64,
}

/// A task.
#[derive(Debug, Serialize)]
pub struct TaskRow {
    /// Its number.
    pub pid: i32,
    /// The number of its process.
    pub tgid: i32,
    /// The process that it belongs to.
    pub ppid: Option<i32>,
    /// Its effective user.
    pub uid: Option<u32>,
    /// As ps(1) shows it.
    pub state: Option<char>,
    /// From the boot to its start.
    #[serde(rename = "start_seconds", serialize_with = "known_seconds")]
    pub start: Option<Duration>,
    /// How many threads its process has.
    pub threads: u64,
    /// Its name, of at most 15 bytes.
    pub name: String,
    /// Whether it is the kernel's own.
    #[serde(rename = "kernel_thread")]
    pub is_kernel_thread: bool,
    /// Its command line, as it has it in its own memory.
    pub arguments: Option<Vec<String>>,
    /// Why there is no more of it.
    pub arguments_missing: Option<String>,
    /// Whether it is longer than what is kept of it.
    pub arguments_cut: bool,
    /// Where its `task_struct` is.
    pub address: Address,
    /// The physical address of its top page table.
    pub page_table: Option<Address>,
    /// Where it was found.
    pub found_by: FoundBy,
    /// The number by which the kernel finds it, if that is not `pid`.
    pub other_number: Option<u64>,
}

/// Where a task was found: in the list of all, or by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FoundBy {
    /// In both, as it has to be.
    Both,
    /// Only in the list.
    List,
    /// Only by its number.
    Number,
}

#[cfg(feature = "inspect")]
impl From<linpmem_inspect::FoundBy> for FoundBy {
    fn from(found: linpmem_inspect::FoundBy) -> Self {
        match found {
            linpmem_inspect::FoundBy::Both => Self::Both,
            linpmem_inspect::FoundBy::List => Self::List,
            linpmem_inspect::FoundBy::Number => Self::Number,
        }
    }
}

impl TaskRow {
    /// As ps(1) shows it: the command line, or the name in brackets where there is none.
    fn command(&self) -> String {
        let words = self.arguments.as_deref().unwrap_or(&[]);
        let mut command = match words.is_empty() {
            true => format!("[{}]", self.name),
            false => words.join(" "),
        };
        if self.arguments_cut {
            command.push_str(" \u{2026}");
        }
        if let Some(missing) = &self.arguments_missing {
            command.push_str(&format!(" (the rest is missing: {missing})"));
        }
        command
    }
}

impl Document for PsDocument {
    const FORMAT: &'static str = "linpmem-dump ps";

    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let known = |value: Option<String>| value.unwrap_or_else(|| "?".to_owned());
        let rows = self.tasks.iter().map(|task| {
            [
                task.pid.to_string(),
                task.tgid.to_string(),
                known(task.ppid.map(|ppid| ppid.to_string())),
                known(task.uid.map(|uid| uid.to_string())),
                known(task.state.map(String::from)),
                task.threads.to_string(),
                known(
                    task.start
                        .map(|start| format!("{:.2}", start.as_secs_f64())),
                ),
                task.command(),
            ]
        });
        let columns = [
            ("PID", Align::Right),
            ("TGID", Align::Right),
            ("PPID", Align::Right),
            ("UID", Align::Right),
            ("S", Align::Left),
            ("THREADS", Align::Right),
            ("START", Align::Right),
            ("COMMAND", Align::Left),
        ];
        table::write(out, columns, rows)?;
        for task in &self.tasks {
            if let Some(number) = task.other_number {
                let name = printable(&task.name);
                writeln!(
                    out,
                    "note: {} ({name}) is found by the number {number}: something changed its own",
                    task.pid
                )?;
            }
            let where_to = match task.found_by {
                FoundBy::Both => continue,
                FoundBy::List => {
                    "is in the list of tasks, but cannot be found by its number: it was ending or \
                     beginning, or is hidden"
                }
                FoundBy::Number => {
                    "can be found by its number, but is not in the list of tasks: it was ending or \
                     beginning, or is hidden"
                }
            };
            let name = printable(&task.name);
            writeln!(out, "note: {} ({name}) {where_to}", task.pid)?;
        }
        troubles::write(&self.troubles, self.more_troubles, out)
    }
}
