// SPDX-License-Identifier: MIT OR Apache-2.0
//! `pmem cr3`: the page tables of processes.

use crate::args::Cr3Args;
use crate::{Outcome, warn, write_json};
use anyhow::{Context, Result};
use linpmem::{Device, PageTables};
use linpmem_phys::Errno;
use serde_json::json;
use std::fs;
use std::io::Write;

/// Shows them. The exit code is 1 if a requested process does not exist.
pub fn run(args: &Cr3Args, out: &mut dyn Write) -> Result<Outcome> {
    let device = Device::open_path(&args.device.device)?;
    let pids = match (args.all, args.pids.is_empty()) {
        (true, _) => processes()?,
        (false, true) => vec![std::process::id()],
        (false, false) => args.pids.clone(),
    };
    let mut found: Vec<(u32, PageTables)> = Vec::new();
    let mut outcome = Outcome::Done;
    for pid in pids {
        match device.page_tables(pid) {
            Ok(tables) => found.push((pid, tables)),
            // A kernel thread, or a process that has ended since /proc was listed.
            Err(error) if error.errno() == Errno::ESRCH && args.all => {}
            Err(error) if error.errno() == Errno::ESRCH => {
                warn(&error.to_string());
                outcome = Outcome::Negative;
            }
            Err(error) => return Err(error.into()),
        }
    }
    if args.output.json {
        let list: Vec<_> = found
            .iter()
            .map(|(pid, tables)| {
                json!({
                    "pid": pid,
                    "name": name(*pid),
                    "kernel": format!("{:#x}", tables.kernel.get()),
                    "user": format!("{:#x}", tables.user.get()),
                })
            })
            .collect();
        write_json(out, &json!({ "processes": list }))?;
        return Ok(outcome);
    }
    if !found.is_empty() {
        writeln!(out, "{:>7}  {:<18}  {:<18}  NAME", "PID", "CR3", "USER CR3")?;
    }
    for (pid, tables) in &found {
        let (kernel, user) = (tables.kernel.get(), tables.user.get());
        writeln!(
            out,
            "{pid:>7}  {kernel:#018x}  {user:#018x}  {}",
            name(*pid)
        )?;
    }
    Ok(outcome)
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

/// The name is whatever the process chose: no control character may reach a terminal.
fn name(pid: u32) -> String {
    let text = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    text.trim_end().escape_default().to_string()
}
