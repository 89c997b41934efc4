// SPDX-License-Identifier: MIT OR Apache-2.0
//! What /proc/kcore and /dev/mem give is what QEMU sees.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use linpmem_formats::open_image;
use linpmem_phys::{ReadPhys, Unreadables};
use serde_json::{Value, json};
use xtask::acquisition::{Acquired, Subject};
use xtask::ground_truth::{Comparison, open_elf};

use super::{partial_pages, serving, subject};
use crate::pattern;

/// Acquires System RAM by `--source auto` and compares it. Nothing but the pages
/// that are RAM only in part, and `more` of them, may be missing.
///
/// Once in a while some dozen pages of a busy kernel change and change back between
/// two views; then it is done once more, and has to be right.
fn ram_is_acquired(subject: &Subject, name: &str, share: f64, more: u64) -> Result<Acquired> {
    let (acquired, found) = ram_is_there(subject, name, more)?;
    if !found.is_restless() {
        found.require(share)?;
        return Ok(acquired);
    }
    println!("more than usual changed for a moment: once more");
    let (acquired, found) = ram_is_there(subject, &format!("again-{name}"), more)?;
    found.require(share)?;
    Ok(acquired)
}

/// The same, with the comparison left to the caller.
fn ram_is_there(subject: &Subject, name: &str, more: u64) -> Result<(Acquired, Comparison)> {
    let acquired = subject.acquire(&["--format", "elf", "--no-artifacts"], name)?;
    println!("{}", acquired.output.text());
    let partial = partial_pages(&acquired)?;
    let listed = acquired.manifest.unreadable()?;
    let count: u64 = listed.iter().map(|range| range.len().pages()).sum();
    let expected = u64::try_from(partial.len())? + more;
    ensure!(
        partial
            .iter()
            .all(|page| listed.iter().any(|range| range.covers(*page))),
        "{partial:?} cannot have been read, but {listed:?} is listed"
    );
    // A balloon's own pages come and go by a few.
    ensure!(
        count.abs_diff(expected) <= more / 10,
        "{count} pages are listed where {expected} were expected: {listed:?}"
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
    fact.cloned().with_context(|| format!("no fact {fact:?}"))
}

/// 5 levels of page tables, KASLR, a reserved range with known content, and pages
/// that the kernel gives as zeros although it did not read them.
#[test]
fn ram_comes_from_kcore_and_reserved_memory_from_dev_mem() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut planted = Ok(());
    let subject = subject(|machine| {
        let machine = machine
            .memory_mib(384)
            .device("virtio-balloon-pci")
            .module("virtio_balloon");
        pattern::planted(machine.clone(), folder.path()).unwrap_or_else(|error| {
            planted = Err(error);
            machine
        })
    })?;
    planted?;
    println!("{}", subject.fill(60)?);
    let first = ram_is_acquired(&subject, "first.core", 0.75, 0)?;
    assert_eq!(machine(&first, "paging_levels")?, json!(5));
    ensure!(machine(&first, "kaslr_offset")?.is_string());

    // The image tells what the kernel's note tells, and the addresses are right:
    // the note itself lies where they say.
    let release = subject.vm.kernel().release().to_owned();
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

    reserved_memory_is_exact(&subject)?;

    // 32 MiB go back to the host, and are zeros to /proc/kcore.
    subject
        .vm
        .execute("balloon", json!({ "value": 352_u64 << 20 }))?;
    let deflated = || -> Result<bool> {
        let now = subject.vm.execute("query-balloon", json!({}))?;
        Ok(now.get("actual").and_then(Value::as_u64) == Some(352 << 20))
    };
    for _ in 0..100 {
        if deflated()? {
            break;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    ensure!(deflated()?, "the balloon does not grow");
    ram_is_acquired(&subject, "ballooned.core", 0.65, (32 << 20) / 4096)?;
    subject.end()
}

fn reserved_memory_is_exact(subject: &Subject) -> Result<()> {
    let reserved = pattern::range()?;
    let mut args = vec!["--no-artifacts", "--include-reserved"];
    args.extend(["--range", "0-0x1fffff"]);
    args.extend(["--range", "0x8000000+16MiB"]);
    let acquired = subject.acquire(&args, "reserved.core")?;
    println!("{}", acquired.output.text());
    assert_eq!(serving(&acquired, "System RAM")?, ["kcore"]);
    assert_eq!(serving(&acquired, "Reserved")?, ["devmem"]);
    let image = open_elf(&acquired.image)?;
    let mut bytes = vec![0; usize::try_from(pattern::LEN)?];
    let mut unreadable = Unreadables::new();
    image.read_phys(reserved.start(), &mut bytes, &mut unreadable)?;
    ensure!(unreadable.is_empty(), "missing: {unreadable:?}");
    ensure!(
        bytes == pattern::bytes(),
        "the reserved memory is not exact"
    );
    let listed = acquired.manifest.unreadable()?;
    ensure!(
        listed
            .iter()
            .all(|range| range.intersect(reserved).is_none()),
        "readable memory is listed: {listed:?}"
    );

    // Alone, /dev/mem gives the reserved memory and none of the RAM.
    let args = [
        "--no-artifacts",
        "--source",
        "devmem",
        "--include-reserved",
        "--range",
        "0x8000000+16MiB",
    ];
    let alone = subject.acquire(&args, "devmem.core")?.complete()?;
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

/// 4 levels, no KASLR, memory above 4 GiB, and virtio-mem's, which /proc/iomem
/// nests below its device.
#[test]
fn memory_that_was_plugged_in_is_acquired_too() -> Result<()> {
    let subject = subject(|machine| {
        machine
            .memory_mib(384)
            .machine("q35,max-ram-below-4g=256M")
            .cpu("max,la57=off")
            .append("nokaslr memhp_default_state=online")
            .module("virtio_mem")
            .qemu_arg("-m")
            .qemu_arg("maxmem=2G")
            .qemu_arg("-object")
            .qemu_arg("memory-backend-ram,id=vmem,size=256M")
            .device("virtio-mem-pci,memdev=vmem,requested-size=128M")
    })?;
    let mut iomem = String::new();
    for _ in 0..100 {
        iomem = subject.vm.iomem()?;
        if iomem.contains(": System RAM (virtio_mem)") {
            break;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    ensure!(
        iomem.contains(": System RAM (virtio_mem)"),
        "nothing is plugged in: {iomem}"
    );
    println!("{}", subject.fill(60)?);
    let acquired = ram_is_acquired(&subject, "out.core", 0.70, 0)?;
    assert_eq!(machine(&acquired, "paging_levels")?, json!(4));
    assert_eq!(machine(&acquired, "kaslr_offset")?, json!("0x0"));
    ensure!(
        acquired.ram.total().get() >= 502 << 20,
        "the memory that was plugged in is missing: {:?}",
        acquired.ram
    );
    subject.end()
}
