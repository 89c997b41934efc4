// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory that goes offline, or is unplugged, while it is read.

use super::{ask, machine, probe};
use crate::machines::Block;
use crate::{machines, wait};
use anyhow::{Result, ensure};
use linpmem_testkit::arch::Arch;
use linpmem_testkit::vm::{Vm, VmBuilder};
use serde_json::json;
use std::thread;
use std::time::Duration;

/// What [`machines::plug_block`] plugs.
const PLUGGED: u64 = 256 << 20;

fn with_slot(machine: VmBuilder) -> VmBuilder {
    machine
        .append("memhp_default_state=online_movable")
        .qemu_arg("-m")
        .qemu_arg("slots=1,maxmem=2G")
}

/// A machine that [`plug`] can plug memory into. QEMU's machine for arm64 has slots for it
/// only with UEFI, but virtio-mem in any case.
pub fn with_block(arch: Arch, machine: VmBuilder) -> VmBuilder {
    let machine = with_slot(machine);
    match arch {
        Arch::X86_64 => machine,
        Arch::Aarch64 => machine.virtio_mem(256),
    }
}

/// Plugs memory, and waits until its first block is online.
pub fn plug(arch: Arch, vm: &Vm) -> Result<Block> {
    match arch {
        Arch::X86_64 => machines::plug_block(vm),
        Arch::Aarch64 => machines::block_at(vm, wait_for(vm, PLUGGED)?),
    }
}

/// The caller's buffer can take any time to appear. What the module decided about a page
/// before is no longer true then.
#[test]
fn memory_that_goes_offline_while_the_buffer_is_absent_is_not_read() -> Result<()> {
    loses_no_race(Arch::X86_64, &["copy=1", "copy=2"])
}

/// In machines whose module has each of these parameters.
pub fn loses_no_race(arch: Arch, parameters: &[&str]) -> Result<()> {
    for copy in parameters {
        let vm = machine(arch, |machine| with_block(arch, machine), copy)?;
        let block = plug(arch, &vm)?;
        let arguments = format!("absent {:#x} {}", block.start, block.state());
        ensure!(ask(&vm, &arguments)? == "absent: ENODATA");
        vm.shutdown()?;
    }
    Ok(())
}

#[test]
fn readers_survive_memory_that_comes_and_goes() -> Result<()> {
    let vm = machine(Arch::X86_64, with_slot, "")?;
    let mut block = machines::plug_block(&vm)?;
    let start = block.start;
    // First within the machine, and then by the host: older kernels let a write to the
    // block's state wait while the host unplugs it.
    survives_changes(&vm, &block)?;
    let readers = probe(&vm, &format!("readers {start:#x} {PLUGGED} 12")).start()?;
    for _ in 0..3 {
        thread::sleep(Duration::from_secs(2));
        block.unplug(&vm)?;
        block = machines::plug_block(&vm)?;
        ensure!(block.start == start, "plugged elsewhere");
    }
    println!("{}", readers.wait()?.ok()?.stdout_text()?);
    vm.shutdown()
}

/// Its block goes offline and comes back all the time.
pub fn survives_offline_memory(arch: Arch) -> Result<()> {
    let vm = machine(arch, |machine| with_block(arch, machine), "")?;
    survives_changes(&vm, &plug(arch, &vm)?)?;
    vm.shutdown()
}

fn survives_changes(vm: &Vm, block: &Block) -> Result<()> {
    let (start, state) = (block.start, block.state());
    ask(vm, &format!("readers {start:#x} {PLUGGED} 10 {state}")).map(drop)
}

/// The hypervisor takes single pages back, without a block going offline.
#[test]
fn readers_survive_a_hypervisor_that_takes_memory_back() -> Result<()> {
    survives_a_taking_hypervisor(Arch::X86_64)
}

pub fn survives_a_taking_hypervisor(arch: Arch) -> Result<()> {
    let vm = machine(arch, |machine| with_slot(machine).virtio_mem(256), "")?;
    let start = wait_for(&vm, PLUGGED)?;
    let readers = probe(&vm, &format!("readers {start:#x} {PLUGGED} 15")).start()?;
    for _ in 0..2 {
        for size in [32 << 20, PLUGGED] {
            thread::sleep(Duration::from_secs(1));
            resize(&vm, size)?;
            wait_for(&vm, size)?;
        }
    }
    println!("{}", readers.wait()?.ok()?.stdout_text()?);
    resize(&vm, 0)?;
    wait_for(&vm, 0)?;
    let errno = ask(&vm, &format!("errno {start:#x} 0"))?;
    ensure!(errno == "ENODATA" || errno == "EACCES", "{errno}");
    vm.shutdown()
}

/// Asks the machine to have `bytes` of the device's memory.
fn resize(vm: &Vm, bytes: u64) -> Result<()> {
    let wanted = json!({
        "path": "/machine/peripheral/vmem",
        "property": "requested-size",
        "value": bytes,
    });
    vm.execute("qom-set", wanted)?;
    Ok(())
}

/// Waits until the machine has `bytes` of it, and returns where they begin.
fn wait_for(vm: &Vm, bytes: u64) -> Result<u64> {
    wait::until("the machine has the memory of virtio-mem", || {
        let devices = vm.execute("query-memory-devices", json!({}))?;
        let number = |name: &str| devices.pointer(&format!("/0/data/{name}"))?.as_u64();
        let (size, start) = (number("size"), number("memaddr"));
        Ok((size == Some(bytes)).then_some(start).flatten())
    })
}
