// SPDX-License-Identifier: MIT OR Apache-2.0
//! Pages that must not be touched, made for real.

use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::json;
use xtask::vm::Vm;

use super::{ask, machine, probe, text};

#[test]
fn poisoned_and_secret_pages_have_their_answers() -> Result<()> {
    let vm = machine(|machine| machine.append("secretmem.enable=1"), "")?;
    let poisoned = ask(&vm, "poison")?;
    ensure!(poisoned.ends_with("gives EHWPOISON"), "{poisoned}");
    let secret = ask(&vm, "secret")?;
    ensure!(secret.contains("gives EIO"), "{secret}");
    vm.shutdown()
}

#[test]
fn ballooned_pages_have_their_answer() -> Result<()> {
    let vm = machine(
        |machine| {
            machine
                .device("virtio-balloon-pci")
                .module("virtio_balloon")
        },
        "",
    )?;
    vm.execute("balloon", json!({ "value": 384_u64 << 20 }))?;
    for _ in 0..50 {
        let now = vm.execute("query-balloon", json!({}))?;
        let actual = now.get("actual").and_then(|value| value.as_u64());
        if actual.context("no size")? <= 400 << 20 {
            break;
        }
        thread::sleep(Duration::from_millis(200));
    }
    ask(&vm, "offline")?;
    vm.shutdown()
}

/// Memory that was plugged in a moment ago, which nothing but movable pages may
/// use: it can be taken offline whatever else the machine does.
#[test]
fn memory_that_was_taken_offline_has_its_answer() -> Result<()> {
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
    let plugged = patiently("the plugged memory does not appear", || {
        let mut now = blocks(&vm)?;
        now.retain(|block| !before.contains(block));
        Ok(now.first().copied())
    })?;
    let folder = format!("/sys/devices/system/memory/memory{plugged}");
    let state = format!("{folder}/state");
    patiently("the plugged memory does not come online", || {
        Ok((text(&vm, &state)?.trim() == "online").then_some(()))
    })?;
    let size = text(&vm, "/sys/devices/system/memory/block_size_bytes")?;
    let addr = plugged * u64::from_str_radix(size.trim(), 16)?;
    let read = probe(&vm, &format!("errno {addr:#x} 0")).run()?;
    ensure!(
        String::from_utf8_lossy(&read.stderr).contains("the page was read"),
        "{read:?}"
    );
    patiently("the plugged memory cannot be taken offline", || {
        Ok(vm.write(&state, "offline").ok())
    })?;
    ensure!(ask(&vm, &format!("errno {addr:#x} 0"))? == "ENODATA");
    vm.shutdown()
}

/// The numbers of the kernel's blocks of memory.
fn blocks(vm: &Vm) -> Result<Vec<u64>> {
    let list = vm.run(&["ls", "/sys/devices/system/memory"])?.ok()?;
    let names = list.stdout_text()?.lines();
    Ok(names
        .filter_map(|name| name.strip_prefix("memory")?.parse().ok())
        .collect())
}

/// Asks again and again until there is an answer, for half a minute.
fn patiently<T>(failure: &str, mut ask: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    for _ in 0..60 {
        if let Some(answer) = ask()? {
            return Ok(answer);
        }
        thread::sleep(Duration::from_millis(500));
    }
    bail!("{failure}")
}
