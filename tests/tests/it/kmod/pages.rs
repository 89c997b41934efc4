// SPDX-License-Identifier: MIT OR Apache-2.0
//! Real pages that must not be touched.

use super::{ask, has, hotplug, machine, probe};
use crate::machines;
use anyhow::{Result, ensure};
use linpmem_testkit::arch::Arch;

#[test]
fn poisoned_and_secret_pages_have_their_errors() -> Result<()> {
    refuses_poisoned_and_secret_pages(Arch::X86_64)
}

pub fn refuses_poisoned_and_secret_pages(arch: Arch) -> Result<()> {
    let vm = machine(arch, |machine| machine.append("secretmem.enable=1"), "")?;
    if has(&vm, "CONFIG_MEMORY_FAILURE")? {
        let poisoned = ask(&vm, "poison")?;
        ensure!(poisoned.ends_with("gives EHWPOISON"), "{poisoned}");
    }
    if has(&vm, "CONFIG_SECRETMEM")? {
        let secret = ask(&vm, "secret")?;
        ensure!(secret.contains("gives EIO"), "{secret}");
    }
    vm.shutdown()
}

/// With both of the module's ways to copy, whichever it would choose here.
#[test]
fn a_fault_costs_no_byte_before_it() -> Result<()> {
    stops_at_a_fault(Arch::X86_64, &["copy=1", "copy=2"])
}

/// In machines whose module has each of these parameters.
pub fn stops_at_a_fault(arch: Arch, parameters: &[&str]) -> Result<()> {
    for copy in parameters {
        let vm = machine(arch, |machine| machine.append("secretmem.enable=1"), copy)?;
        if has(&vm, "CONFIG_SECRETMEM")? {
            ask(&vm, "straddle")?;
        }
        vm.shutdown()?;
    }
    Ok(())
}

#[test]
fn ballooned_pages_have_their_error() -> Result<()> {
    refuses_ballooned_pages(Arch::X86_64)
}

pub fn refuses_ballooned_pages(arch: Arch) -> Result<()> {
    let vm = machine(
        arch,
        |machine| {
            machine
                .device("virtio-balloon-pci")
                .module("virtio_balloon")
        },
        "",
    )?;
    machines::inflate_balloon(&vm, 384 << 20)?;
    ask(&vm, "offline")?;
    vm.shutdown()
}

#[test]
fn offline_memory_has_its_error() -> Result<()> {
    refuses_offline_memory(Arch::X86_64)
}

/// Takes freshly plugged memory offline. As only movable pages may use it, that works
/// whatever else the machine does.
pub fn refuses_offline_memory(arch: Arch) -> Result<()> {
    let vm = machine(arch, |machine| hotplug::with_block(arch, machine), "")?;
    let block = hotplug::plug(arch, &vm)?;
    let addr = block.start;
    let read = probe(&vm, &format!("errno {addr:#x} 0")).run()?;
    ensure!(
        String::from_utf8_lossy(&read.stderr).contains("the page was read"),
        "{read:?}"
    );
    block.take_offline(&vm)?;
    ensure!(ask(&vm, &format!("errno {addr:#x} 0"))? == "ENODATA");
    vm.shutdown()
}
