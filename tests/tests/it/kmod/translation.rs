// SPDX-License-Identifier: MIT OR Apache-2.0
//! Translations, compared with pagemap, with the kernel's own functions and with QEMU's
//! processors.

use super::{ask, machine};
use crate::wait;
use anyhow::{Result, ensure};
use linpmem_testkit::arch::Arch;
use linpmem_testkit::artifacts;
use linpmem_testkit::vm::{Vm, VmBuilder};

/// Page tables of every depth, with and without page-table isolation.
fn translates(cpu: &str, bits: u32, isolation: &str) -> Result<()> {
    let vm = machine(
        Arch::X86_64,
        |machine: VmBuilder| {
            machine
                .memory_mib(4096)
                .cpu(cpu)
                .append(isolation)
                .append("hugepagesz=1G hugepages=1")
        },
        "",
    )?;
    let said = agrees(&vm, true, bits)?;
    let isolated = if isolation == "pti=on" { "on" } else { "off" };
    ensure!(said.ends_with(isolated), "{said}");
    vm.shutdown()
}

/// Compares all that can be compared; with pages of 1 GiB if the machine has reserved one.
/// `bits` are those of an address. Returns what was said about processes.
pub fn agrees(vm: &Vm, with_gigantic: bool, bits: u32) -> Result<String> {
    ask(vm, &format!("user-pages {}", u32::from(with_gigantic)))?;
    as_qemu_translates(vm)?;
    if vm.kernel().has_rust() {
        facts(vm)?;
    }
    let said = ask(vm, "processes")?;
    ask(vm, &format!("garbage {bits}"))?;
    Ok(said)
}

/// Kernel addresses, compared with what QEMU's processors make of them. In user mode they may
/// not use the kernel's tables, or do not have them: then they are asked again a moment later.
fn as_qemu_translates(vm: &Vm) -> Result<()> {
    let told = ask(vm, "kernel-addresses")?;
    wait::until("QEMU's processor is in the kernel", || {
        vm.pause()?;
        let compared = told.lines().map(|line| agrees_with_qemu(vm, line));
        let compared: Result<Vec<bool>> = compared.collect();
        vm.resume()?;
        Ok(compared?.into_iter().all(|is_told| is_told).then_some(()))
    })
}

/// Compares a line of the probe's. Returns false if QEMU's processor has no mapping there.
fn agrees_with_qemu(vm: &Vm, line: &str) -> Result<bool> {
    let words: Vec<&str> = line.split(' ').collect();
    let [name, virt, phys] = words[..] else {
        anyhow::bail!("an unexpected line: {line}");
    };
    let said = vm.monitor(&format!("gva2gpa 0x{virt}"))?;
    if said.trim() == "Unmapped" {
        return Ok(false);
    }
    ensure!(
        said.trim() == format!("gpa: 0x{phys}"),
        "{name} at {virt} is at {phys}, and for QEMU: {said}"
    );
    Ok(true)
}

/// The same for a module that asks the kernel's own functions, where one can be built.
fn facts(vm: &Vm) -> Result<()> {
    let module = artifacts::facts_module(vm.kernel())?;
    vm.insmod(&module, "")?;
    ask(vm, "kernel-pages").map(drop)
}

#[test]
fn four_levels() -> Result<()> {
    translates("max,la57=off", 48, "pti=off")
}

#[test]
fn five_levels_with_isolation() -> Result<()> {
    translates("max", 57, "pti=on")
}
