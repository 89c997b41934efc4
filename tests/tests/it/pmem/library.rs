// SPDX-License-Identifier: MIT OR Apache-2.0
//! A machine in which everything works.

use super::{MODULE, clients, commands, machine, original, said, start};
use crate::pattern::LEN;
use anyhow::{Result, ensure};
use linpmem_testkit::arch::Arch;
use linpmem_testkit::vm::{Vm, guest};

#[test]
fn every_call_returns_what_is_there() -> Result<()> {
    answers(Arch::X86_64, clients::check)
}

/// pmem and the library for Rust, and then what `more` checks.
pub fn answers(arch: Arch, more: impl FnOnce(&Vm) -> Result<()>) -> Result<()> {
    let vm = machine(arch)?;
    ensure!(said(&vm, &format!("insmod {MODULE}"))?.is_empty());
    original::check(&vm)?;
    commands::check(&vm)?;

    vm.push(&guest::build_for(arch, "linpmem-probe")?, "/bin/probe")?;
    let (start, len) = (start(&vm).to_string(), LEN.to_string());
    let probe = ["probe", "library", &start, &len];
    println!("{}", vm.run(&probe)?.ok()?.stdout_text()?.trim());

    more(&vm)?;

    // As the original's loader: the node is removed with the module.
    ensure!(said(&vm, "insmod -r")?.is_empty());
    ensure!(vm.read("/dev/linpmem").is_err());
    let loaded = commands::json(&vm, &format!("insmod {MODULE} major=42 --json"))?;
    ensure!(loaded["device_was_created"] == true, "{loaded}");
    ensure!(vm.kernel_file("/proc/devices")?.contains("42 linpmem"));
    original::check(&vm)?;
    ensure!(commands::json(&vm, "rmmod --json")?["unloaded"] == true);
    ensure!(!vm.kernel_file("/proc/devices")?.contains("linpmem"));
    vm.shutdown()
}
