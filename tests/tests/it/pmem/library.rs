// SPDX-License-Identifier: MIT OR Apache-2.0
//! One machine in which everything works.

use anyhow::{Result, ensure};
use xtask::vm::guest;

use super::{MODULE, clients, commands, file, machine, original, said, text};
use crate::pattern;

#[test]
fn every_call_gives_what_is_there() -> Result<()> {
    let (vm, folder) = machine(|machine| machine)?;
    ensure!(said(&vm, &format!("insmod {MODULE}"))?.is_empty());
    original::check(&vm)?;
    commands::check(&vm)?;

    vm.push(&guest::build("linpmem-probe")?, "/bin/probe")?;
    let (start, len) = (pattern::START, pattern::LEN);
    let probe = ["probe", "library", &start.to_string(), &len.to_string()];
    println!("{}", vm.run(&probe)?.ok()?.stdout_text()?.trim());

    clients::check(&vm, folder.path())?;

    // The original's loader: the node goes with the module, exit code 0.
    ensure!(said(&vm, "insmod -r")?.is_empty());
    ensure!(vm.read("/dev/linpmem").is_err());
    let loaded = text(&vm, &format!("insmod {MODULE} major=42 --json"))?;
    ensure!(loaded.contains("\"made_node\": true"), "{loaded}");
    ensure!(file(&vm, "/proc/devices")?.contains("42 linpmem"));
    original::check(&vm)?;
    ensure!(said(&vm, "rmmod")?.is_empty());
    ensure!(!file(&vm, "/proc/devices")?.contains("linpmem"));
    vm.shutdown()
}
