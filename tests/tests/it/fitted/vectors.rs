// SPDX-License-Identifier: MIT OR Apache-2.0
//! The module is not compiled with the kernel's own flags: it must not touch the vector
//! registers of the programs that it works for, or that run beside it.

use super::machine;
use crate::kmod::storm::seconds;
use anyhow::{Context, Result};
use linpmem_testkit::artifacts::{self, ModuleKind};
use linpmem_testkit::vm::guest;
use std::time::Duration;

#[test]
fn reads_change_no_vector_register() -> Result<()> {
    let vm = machine(|machine| machine.memory_mib(512).cpu("max").scratch_gib(None))?;
    vm.push(&guest::build("linpmem-probe")?, "/bin/probe")?;
    vm.insmod(&artifacts::module_of(ModuleKind::Fitted, vm.kernel())?, "")?;
    let ram = vm.system_ram()?;
    let start = ram
        .regions()
        .iter()
        .map(|region| region.range)
        .find(|range| range.len().get() > 64 << 20);
    let start = start
        .context("no range of RAM is large enough")?
        .start()
        .get();
    let argv = [
        "probe",
        "vectors",
        &seconds()?.to_string(),
        &(start + (16 << 20)).to_string(),
    ];
    let output = vm
        .command(&argv)
        .timeout(Duration::from_secs(300))
        .run()?
        .ok()?;
    println!("{}", output.stdout_text()?.trim_end());
    vm.shutdown()
}
