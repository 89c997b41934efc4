// SPDX-License-Identifier: MIT OR Apache-2.0
//! The memory in /proc/kcore and /dev/mem is the memory that QEMU sees.

use super::{paging_levels, partial_pages, serving, target};
use crate::pattern::{self, PatternFile};
use crate::{machines, wait};
use anyhow::{Context, Result, ensure};
use linpmem_formats::open_image;
use linpmem_testkit::ground_truth::{Comparison, open_elf};
use linpmem_testkit::target_machine::{Acquired, TargetMachine};
use serde_json::{Value, json};

/// Acquires System RAM by `--source auto` and compares it. Only partial pages and `more`
/// other pages may be missing; the former are no reason for exit code 3.
///
/// Occasionally, some dozen pages of a busy kernel change and change back between two
/// views. Then the acquisition is repeated once, and has to be right.
fn ram_is_acquired(target: &TargetMachine, name: &str, share: f64, more: u64) -> Result<Acquired> {
    let (acquired, found) = ram_is_there(target, name, more)?;
    if !found.is_restless() {
        found.require(share)?;
        return Ok(acquired);
    }
    println!("more pages than usual changed for a moment: trying again");
    let (acquired, found) = ram_is_there(target, &format!("again-{name}"), more)?;
    found.require(share)?;
    Ok(acquired)
}

/// The same, but the caller judges the comparison.
fn ram_is_there(target: &TargetMachine, name: &str, more: u64) -> Result<(Acquired, Comparison)> {
    let acquired = target.acquire(&["--format", "elf", "--no-artifacts"], name)?;
    println!("{}", acquired.output.text());
    // Pages that are only partly RAM are not RAM to the kernel: they are told apart from
    // what could not be read.
    let partial = partial_pages(&acquired)?;
    let told = acquired.manifest.partial_pages()?;
    ensure!(
        told.iter()
            .filter_map(|part| part.page_hull())
            .eq(partial.iter().copied()),
        "{partial:?} are partly RAM, but {told:?} is listed"
    );
    let said = acquired.output.text();
    for part in &told {
        ensure!(said.contains(&format!("left out:   {part}, ")), "{said}");
    }
    let listed = acquired.manifest.unreadable()?;
    let count: u64 = listed.iter().map(|range| range.len().pages()).sum();
    // The number of pages in a balloon varies slightly.
    ensure!(
        count.abs_diff(more) <= more / 10,
        "{count} pages are listed instead of {more}: {listed:?}"
    );
    let code = if count == 0 { 0 } else { 3 };
    ensure!(
        acquired.output.ended.code == Some(code),
        "{}",
        acquired.output
    );
    let found = acquired.compare_elf()?;
    println!("{found}");
    assert_eq!(serving(&acquired, "System RAM")?, ["kcore"]);
    Ok((acquired, found))
}

fn machine(acquired: &Acquired, fact: &str) -> Result<Value> {
    let fact = acquired.manifest.json.pointer(&format!("/machine/{fact}"));
    fact.cloned()
        .context("the manifest lacks a fact about the machine")
}

/// 5 levels of page tables, KASLR, a reserved range with known content, and pages that
/// the kernel returns as zeros without having read them.
#[test]
fn ram_comes_from_kcore_and_reserved_memory_from_dev_mem() -> Result<()> {
    let pattern = PatternFile::new()?;
    let target = target(|machine| {
        let machine = machine
            .memory_mib(384)
            .device("virtio-balloon-pci")
            .module("virtio_balloon");
        pattern.load(machine)
    })?;
    println!("{}", target.fill(60)?);
    let first = ram_is_acquired(&target, "first.core", 0.75, 0)?;
    let levels = paging_levels(&target)?;
    assert_eq!(machine(&first, "paging_levels")?, json!(levels));
    ensure!(machine(&first, "kaslr_offset")?.is_string());

    // The image has the kernel's own note, and the addresses in it are right.
    let release = target.vm.kernel().release().to_owned();
    assert_eq!(machine(&first, "vmcoreinfo/release")?, json!(release));
    let image = open_image(&first.image)?;
    let note = image
        .machine()
        .vmcoreinfo
        .clone()
        .context("no VMCOREINFO in the image")?;
    ensure!(String::from_utf8_lossy(&note).contains(&format!("OSRELEASE={release}\n")));
    let direct_map = machine(&first, "direct_map_base")?;
    let direct_map = direct_map.as_str().context("no base of the direct map")?;
    ensure!(
        image
            .machine()
            .direct_map_base
            .map(|base| format!("{base:#x}"))
            == Some(direct_map.to_owned())
    );

    reserved_memory_is_exact(&target)?;

    // 32 MiB go back to the host, and read as zeros in /proc/kcore.
    machines::inflate_balloon(&target.vm, 352 << 20)?;
    ram_is_acquired(&target, "ballooned.core", 0.65, (32 << 20) / 4096)?;
    target.end()
}

fn reserved_memory_is_exact(target: &TargetMachine) -> Result<()> {
    let reserved = pattern::range()?;
    let mut args = vec!["--no-artifacts", "--include-reserved"];
    args.extend(["--range", "0-0x1fffff"]);
    args.extend(["--range", "0x8000000+16MiB"]);
    let acquired = target.acquire(&args, "reserved.core")?;
    println!("{}", acquired.output.text());
    assert_eq!(serving(&acquired, "System RAM")?, ["kcore"]);
    assert_eq!(serving(&acquired, "Reserved")?, ["devmem"]);
    let image = open_elf(&acquired.image)?;
    pattern::is_exact_in(&image, &acquired.manifest)?;

    // /dev/mem alone serves the reserved memory and none of the RAM.
    let args = [
        "--no-artifacts",
        "--source",
        "devmem",
        "--include-reserved",
        "--range",
        "0x8000000+16MiB",
    ];
    let alone = target.acquire(&args, "devmem.core")?.complete()?;
    let pieces = open_elf(&alone.image)?;
    assert_eq!(
        pieces
            .pieces()
            .iter()
            .map(|piece| piece.range)
            .collect::<Vec<_>>(),
        [reserved]
    );
    Ok(())
}

/// 4 levels of page tables, no KASLR, memory above 4 GiB, and memory of a virtio-mem
/// device, which /proc/iomem nests below that device.
#[test]
fn plugged_in_memory_is_acquired_too() -> Result<()> {
    let target = target(|machine| {
        machine
            .memory_mib(384)
            .machine("q35,max-ram-below-4g=256M")
            .cpu("max,la57=off")
            .append("nokaslr memhp_default_state=online")
            .qemu_arg("-m")
            .qemu_arg("maxmem=2G")
            .virtio_mem(128)
    })?;
    wait::until("/proc/iomem lists the memory of virtio-mem", || {
        let is_listed = target.vm.iomem()?.contains(": System RAM (virtio_mem)");
        Ok(is_listed.then_some(()))
    })?;
    println!("{}", target.fill(60)?);
    let acquired = ram_is_acquired(&target, "out.core", 0.70, 0)?;
    assert_eq!(machine(&acquired, "paging_levels")?, json!(4));
    assert_eq!(machine(&acquired, "kaslr_offset")?, json!("0x0"));
    ensure!(
        acquired.ram.total().get() >= 502 << 20,
        "the plugged-in memory is missing: {:?}",
        acquired.ram
    );
    target.end()
}
