// SPDX-License-Identifier: MIT OR Apache-2.0
//! Texts about a process or a module.

use super::processes::Process;
use crate::names::file_name;
use linpmem_inspect::{FoundBy, Module, Troubles};
use std::fmt::{Display, Write};

/// What is known of a process, a line each, as in /proc/PID/status.
pub(super) fn status(process: &Process) -> String {
    let found = &process.found;
    let task = &found.task;
    let mut text = String::new();
    let mut line = |name: &str, value: &dyn Display| {
        // A String takes everything.
        let _ = writeln!(text, "{name}:\t{value}");
    };
    line("Name", &file_name(&task.name));
    line("State", &known(task.state));
    line("Tgid", &task.tgid);
    line("Pid", &task.pid);
    line("PPid", &known(task.ppid));
    line("Uid", &known(task.uid));
    line("Threads", &process.threads);
    let start = task.start_ns.map(|ns| {
        let (seconds, rest) = (ns / 1_000_000_000, ns % 1_000_000_000);
        format!("{seconds}.{rest:09}")
    });
    line("StartSeconds", &known(start));
    let is_kernel_thread = u8::from(task.is_kernel_thread);
    line("Kthread", &is_kernel_thread);
    line("TaskStruct", &format!("{:#x}", task.address));
    let hex = |value: u64| format!("{value:#x}");
    line("MmStruct", &known(task.mm.map(hex)));
    line("PageTable", &known(task.page_table.map(hex)));
    let found_by = match found.found_by {
        FoundBy::Both => "list and number",
        FoundBy::List => "list only",
        FoundBy::Number => "number only",
    };
    line("FoundBy", &found_by);
    if let Some(number) = found.other_number {
        line("OtherNumber", &number);
    }
    text
}

/// What is known of a module.
pub(super) fn module(module: &Module) -> String {
    format!(
        "name:\t{}\nbase:\t{:#x}\nsize:\t{}\nstate:\t{}\ntaints:\t{}\nstruct:\t{:#x}\n",
        file_name(&module.name),
        module.base,
        module.size,
        module.state,
        module.taints,
        module.address
    )
}

fn known(value: Option<impl Display>) -> String {
    value.map_or_else(|| "?".to_owned(), |value| value.to_string())
}

/// Adds what was wrong on the way, a sentence a line.
pub(super) fn notes(what: &str, troubles: &Troubles, text: &mut String) {
    for trouble in troubles.iter() {
        note(what, trouble, text);
    }
    if troubles.more() > 0 {
        note(what, &format_args!("and {} more", troubles.more()), text);
    }
}

/// Adds a sentence on a line of its own.
pub(super) fn note(what: &str, sentence: &dyn Display, text: &mut String) {
    // A String takes everything.
    let _ = writeln!(text, "{what}: {}", one_line(&sentence.to_string()));
}

fn one_line(text: &str) -> String {
    let shown = |char: char| if char.is_control() { '\u{fffd}' } else { char };
    text.chars().map(shown).collect()
}
