// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory that the device tree reserves. The kernel has most of it in its linear map and
//! calls it System RAM; memory with `no-map`, such as the firmware's, it does not have at
//! all, and none of its interfaces reads it.

use super::{acquire_ram, target};
use crate::pattern::{LEN, PatternFile, bytes_at, is_exact_at};
use anyhow::{Result, ensure};
use linpmem_phys::{PAGE_SIZE, PhysAddr, PhysLen, PhysRange, ReadPhys, Unreadables};
use linpmem_testkit::ground_truth::{Manifest, open_elf};
use linpmem_testkit::target_machine::{TargetMachine, companion};
use linpmem_testkit::vm::iomem;
use std::path::Path;

/// Beyond kernel, initramfs and device tree, which QEMU loads into the first 128 MiB.
const MAPPED: u64 = 0x5000_0000;
const UNMAPPED: u64 = 0x5200_0000;

#[test]
fn reserved_memory_is_exact_or_listed_as_unreadable() -> Result<()> {
    let (mapped, unmapped) = (PatternFile::at(MAPPED)?, PatternFile::at(UNMAPPED)?);
    let target = target(|machine| {
        let machine = mapped.load_into(machine.memory_mib(512), true);
        unmapped.load_into(machine, false)
    })?;
    the_kernel_sees_both_kinds(&target)?;

    // All that is RAM to the kernel, with the mapped part and without the other.
    let acquired = acquire_ram(&target, &["--format", "elf", "--no-artifacts"], 0.7)?;
    let image = open_elf(&acquired.image)?;
    is_exact_at(MAPPED, &image, &acquired.manifest)?;
    let mut buf = vec![0; usize::try_from(LEN)?];
    let mut lacking = Unreadables::new();
    image.read_phys(PhysAddr::new(UNMAPPED), &mut buf, &mut lacking)?;
    let lacking = lacking.as_slice().iter();
    let lacking: u64 = lacking.map(|item| item.range.len().get()).sum();
    ensure!(
        lacking == LEN,
        "the image has memory that the kernel does not map"
    );

    let range = format!("{UNMAPPED:#x}+{LEN:#x}");
    let args = ["--no-artifacts", "--include-reserved", "--range", &range];
    let output = target.dump(&args, "unmapped.core")?;
    println!("{output}\n{}", output.text());
    match output.ended.code {
        // Nothing could be read, and no image is left.
        Some(1) => ensure!(
            target.vm.read("/scratch/unmapped.core").is_err(),
            "an image without memory was left behind"
        ),
        Some(0 | 3) => {
            let image = target.pull("unmapped.core")?;
            nothing_is_invented(&target, &image)?;
        }
        _ => return output.ok().map(drop),
    }
    target.end()
}

/// The two kinds of reserved memory are nested in System RAM, and beside it.
fn the_kernel_sees_both_kinds(target: &TargetMachine) -> Result<()> {
    let text = target.vm.iomem()?;
    println!("{text}");
    let is_listed = |start: u64, nested: bool| {
        text.lines().any(|line| {
            let range = line.trim_start().split_once(" : reserved");
            let range = range.and_then(|(range, _)| iomem::range(range).ok());
            let covers = range.is_some_and(|range| {
                range.start().get() <= start && start + LEN <= range.end().get()
            });
            covers && line.starts_with(' ') == nested
        })
    };
    ensure!(is_listed(MAPPED, true), "no reserved System RAM:\n{text}");
    ensure!(is_listed(UNMAPPED, false), "no unmapped memory:\n{text}");
    Ok(())
}

/// Each page of the unmapped memory is exact, or the manifest lists it.
fn nothing_is_invented(target: &TargetMachine, image: &Path) -> Result<()> {
    let listed = Manifest::open(&companion(image, "manifest.jsonl"))?.unreadable()?;
    let memory = open_elf(image)?;
    let truth = bytes_at(UNMAPPED);
    let whole = PhysRange::from_len(PhysAddr::new(UNMAPPED), PhysLen::new(LEN))?;
    let mut page = [0; 4096];
    for (piece, truth) in whole.pieces(PAGE_SIZE).zip(truth.chunks(4096)) {
        if listed.iter().any(|range| range.intersect(piece).is_some()) {
            continue;
        }
        let mut lacking = Unreadables::new();
        memory.read_phys(piece.start(), &mut page, &mut lacking)?;
        ensure!(
            lacking.is_empty() && page == truth,
            "{piece} of {} is neither exact nor listed as unreadable",
            target.vm.kernel().release()
        );
    }
    Ok(())
}
