// SPDX-License-Identifier: MIT OR Apache-2.0
//! Pages that must not be touched, made for real.

use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::{ask, machine, text};

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

#[test]
fn memory_that_was_taken_offline_has_its_answer() -> Result<()> {
    let vm = machine(
        |machine| machine.append("movable_node movablecore=256M"),
        "",
    )?;
    let block = text(&vm, "/sys/devices/system/memory/block_size_bytes")?;
    let block = u64::from_str_radix(block.trim(), 16)?;
    let list = vm.run(&["ls", "/sys/devices/system/memory"])?.ok()?;
    let numbers = list.stdout_text()?.lines();
    let mut blocks: Vec<u64> = numbers
        .filter_map(|name| name.strip_prefix("memory")?.parse().ok())
        .collect();
    blocks.sort_unstable();
    let taken = blocks
        .iter()
        .rev()
        .find(|number| {
            let state = format!("/sys/devices/system/memory/memory{number}/state");
            vm.write(&state, "offline").is_ok()
        })
        .context("no block of memory could be taken offline")?;
    let addr = taken * block;
    ensure!(ask(&vm, &format!("errno {addr:#x} 0"))? == "ENODATA");
    vm.shutdown()
}
