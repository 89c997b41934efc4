// SPDX-License-Identifier: MIT OR Apache-2.0
//! `pmem cr3`: the page tables of processes.

use crate::args::Cr3Args;
use anyhow::{Context, Result};
use linpmem::{Architecture, Device, Dialect, PageTables};
use linpmem_cli::table::{self, Align};
use linpmem_cli::{Document, ExitStatus, Stderr};
use linpmem_phys::Errno;
use serde::Serialize;
use std::fs;
use std::io::{self, Write};

/// Shows them. The exit code is 1 if a requested process does not exist.
pub fn run(args: &Cr3Args, stderr: Stderr, out: &mut dyn Write) -> Result<ExitStatus> {
    let device = Device::open_path(&args.device.device)?;
    let pids = match (args.all, args.pids.is_empty()) {
        (true, _) => processes()?,
        (false, true) => vec![std::process::id()],
        (false, false) => args.pids.clone(),
    };
    let architecture = match device.dialect() {
        Dialect::Original => Architecture::X86_64,
        _ => device.info()?.architecture,
    };
    let mut document = Cr3Document {
        architecture,
        register: architecture.process_register(),
        processes: Vec::new(),
        missing: Vec::new(),
    };
    for pid in pids {
        match device.page_tables(pid) {
            Ok(tables) => document.processes.push(Process::new(pid, tables)),
            // A kernel thread, or a process that has ended since /proc was listed.
            Err(error) if error.errno() == Errno::ESRCH && args.all => {}
            Err(error) if error.errno() == Errno::ESRCH => {
                stderr.warn(&error.to_string());
                document.missing.push(pid);
            }
            Err(error) => return Err(error.into()),
        }
    }
    document.print(args.output.json, out)?;
    Ok(ExitStatus::of_answer(document.missing.is_empty()))
}

/// The page tables of processes.
#[derive(Debug, Serialize)]
struct Cr3Document {
    #[serde(skip)]
    architecture: Architecture,
    /// The register that holds a table's address.
    register: &'static str,
    processes: Vec<Process>,
    /// Those that were asked for and do not exist.
    missing: Vec<u32>,
}

#[derive(Debug, Serialize)]
struct Process {
    pid: u32,
    name: String,
    page_table: String,
    user_page_table: String,
}

impl Process {
    fn new(pid: u32, tables: PageTables) -> Self {
        // A process that has ended has no name; its tables were read before.
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        Self {
            pid,
            name: name.trim_end().to_owned(),
            page_table: tables.kernel.to_string(),
            user_page_table: tables.user.to_string(),
        }
    }
}

impl Document for Cr3Document {
    const FORMAT: &'static str = "pmem cr3";

    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.processes.is_empty() {
            return Ok(());
        }
        // On arm64 user mode and the kernel use the same one.
        if self.architecture == Architecture::Arm64 {
            let columns = [
                ("PID", Align::Right),
                (self.register, Align::Right),
                ("NAME", Align::Left),
            ];
            let rows = self.processes.iter().map(|process| {
                [
                    process.pid.to_string(),
                    process.page_table.clone(),
                    process.name.clone(),
                ]
            });
            return table::write(out, columns, rows);
        }
        let columns = [
            ("PID", Align::Right),
            (self.register, Align::Right),
            ("USER CR3", Align::Right),
            ("NAME", Align::Left),
        ];
        let row = |process: &Process| {
            [
                process.pid.to_string(),
                process.page_table.clone(),
                process.user_page_table.clone(),
                process.name.clone(),
            ]
        };
        let rows: Vec<_> = self.processes.iter().map(row).collect();
        table::write(out, columns, rows.iter().cloned())
    }
}

fn processes() -> Result<Vec<u32>> {
    let mut pids: Vec<u32> = fs::read_dir("/proc")
        .context("listing /proc")?
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    pids.sort_unstable();
    Ok(pids)
}
