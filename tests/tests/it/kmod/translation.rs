// SPDX-License-Identifier: MIT OR Apache-2.0
//! Translation beside what the kernel says: pagemap, and its own functions.

use anyhow::{Result, ensure};
use xtask::cache::Cache;
use xtask::kmod;
use xtask::vm::{Vm, VmBuilder};

use super::{ask, machine};

/// Page tables of every depth, with and without page-table isolation.
fn translates(cpu: &str, isolation: &str) -> Result<()> {
    let vm = machine(
        |machine: VmBuilder| {
            machine
                .memory_mib(4096)
                .cpu(cpu)
                .append(isolation)
                .append("hugepagesz=1G hugepages=1")
        },
        "",
    )?;
    ask(&vm, "user-pages 1")?;
    facts(&vm)?;
    let said = ask(&vm, "processes")?;
    let isolated = if isolation == "pti=on" { "on" } else { "off" };
    ensure!(said.ends_with(isolated), "{said}");
    ask(&vm, "garbage")?;
    vm.shutdown()
}

fn facts(vm: &Vm) -> Result<()> {
    let module = kmod::build_facts(&Cache::open()?, vm.kernel().release())?;
    vm.insmod(&module, "")?;
    ask(vm, "kernel-pages").map(drop)
}

#[test]
fn four_levels() -> Result<()> {
    translates("max,la57=off", "pti=off")
}

#[test]
fn five_levels_with_isolation() -> Result<()> {
    translates("max", "pti=on")
}
