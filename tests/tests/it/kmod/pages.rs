// SPDX-License-Identifier: MIT OR Apache-2.0
//! Real pages that must not be touched.

use super::{ask, machine, probe};
use crate::{machines, wait};
use anyhow::{Result, ensure};
use linpmem_testkit::vm::Vm;
use serde_json::json;

#[test]
fn poisoned_and_secret_pages_have_their_errors() -> Result<()> {
    let vm = machine(|machine| machine.append("secretmem.enable=1"), "")?;
    let poisoned = ask(&vm, "poison")?;
    ensure!(poisoned.ends_with("gives EHWPOISON"), "{poisoned}");
    let secret = ask(&vm, "secret")?;
    ensure!(secret.contains("gives EIO"), "{secret}");
    vm.shutdown()
}

/// With both of the module's ways to copy, whichever it would choose here.
#[test]
fn a_fault_costs_no_byte_before_it() -> Result<()> {
    for copy in ["copy=1", "copy=2"] {
        let vm = machine(|machine| machine.append("secretmem.enable=1"), copy)?;
        ask(&vm, "straddle")?;
        vm.shutdown()?;
    }
    Ok(())
}

#[test]
fn ballooned_pages_have_their_error() -> Result<()> {
    let vm = machine(
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

/// Takes freshly plugged memory offline. As only movable pages may use it, that works
/// whatever else the machine does.
#[test]
fn offline_memory_has_its_error() -> Result<()> {
    let vm = machine(
        |machine| {
            machine
                .append("memhp_default_state=online_movable")
                .qemu_arg("-m")
                .qemu_arg("slots=1,maxmem=2G")
        },
        "",
    )?;
    let before = blocks(&vm)?;
    let backend = json!({ "qom-type": "memory-backend-ram", "id": "bank", "size": 256_u64 << 20 });
    vm.execute("object-add", backend)?;
    let dimm = json!({ "driver": "pc-dimm", "id": "dimm", "memdev": "bank" });
    vm.execute("device_add", dimm)?;
    let plugged = wait::until("the plugged memory appears", || {
        let mut now = blocks(&vm)?;
        now.retain(|block| !before.contains(block));
        Ok(now.first().copied())
    })?;
    let folder = format!("/sys/devices/system/memory/memory{plugged}");
    let state = format!("{folder}/state");
    wait::until("the plugged memory comes online", || {
        Ok((vm.kernel_file(&state)?.trim() == "online").then_some(()))
    })?;
    let size = vm.kernel_file("/sys/devices/system/memory/block_size_bytes")?;
    let addr = plugged * u64::from_str_radix(size.trim(), 16)?;
    let read = probe(&vm, &format!("errno {addr:#x} 0")).run()?;
    ensure!(
        String::from_utf8_lossy(&read.stderr).contains("the page was read"),
        "{read:?}"
    );
    wait::until("the plugged memory goes offline", || {
        Ok(vm.write(&state, "offline").ok())
    })?;
    ensure!(ask(&vm, &format!("errno {addr:#x} 0"))? == "ENODATA");
    vm.shutdown()
}

/// The numbers of the kernel's memory blocks.
fn blocks(vm: &Vm) -> Result<Vec<u64>> {
    let list = vm.run(&["ls", "/sys/devices/system/memory"])?.ok()?;
    let names = list.stdout_text()?.lines();
    Ok(names
        .filter_map(|name| name.strip_prefix("memory")?.parse().ok())
        .collect())
}
