// SPDX-License-Identifier: MIT OR Apache-2.0
//! Real pages that must not be touched.

use super::{ask, has, machine, probe};
use crate::machines;
use anyhow::{Result, ensure};

#[test]
fn poisoned_and_secret_pages_have_their_errors() -> Result<()> {
    let vm = machine(|machine| machine.append("secretmem.enable=1"), "")?;
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
    for copy in ["copy=1", "copy=2"] {
        let vm = machine(|machine| machine.append("secretmem.enable=1"), copy)?;
        if has(&vm, "CONFIG_SECRETMEM")? {
            ask(&vm, "straddle")?;
        }
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
    let block = machines::plug_block(&vm)?;
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
