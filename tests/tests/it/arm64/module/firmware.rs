// SPDX-License-Identifier: MIT OR Apache-2.0
//! Machines with UEFI, whose firmware keeps memory for itself: what it calls cacheable is
//! read, and is what QEMU sees.

use super::with_module;
use crate::sources::serving;
use anyhow::{Context, Result, ensure};
use linpmem_phys::{MemoryMap, PhysRange, ReadPhys, Region, RegionKind};
use linpmem_testkit::ground_truth::{compare, open_elf};
use linpmem_testkit::vm::iomem;

/// Where QEMU's machine has RAM.
const RAM: u64 = 0x4000_0000;

#[test]
fn memory_of_the_firmware_is_what_qemu_sees() -> Result<()> {
    let target = with_module(|machine| machine.uefi())?;
    let vm = &target.vm;
    println!("up after {:.1} s", vm.boot_time().as_secs_f64());
    let text = vm.iomem()?;
    println!("{text}");
    let reserved = beside_ram(&text)?;
    println!("{}", target.fill(40)?);
    let args = ["--format", "elf", "--no-artifacts", "--include-reserved"];
    let acquired = target.acquire(&args, "out.core")?;
    println!("{}", acquired.output.text());
    assert_eq!(serving(&acquired, "System RAM")?, ["linpmem"]);
    acquired.compare_elf()?.require(0.5)?;

    let listed = acquired.manifest.unreadable()?;
    println!("refused: {listed:?}");
    let views: Vec<&dyn ReadPhys> = acquired
        .views
        .iter()
        .map(|view| -> &dyn ReadPhys { view })
        .collect();
    let image = open_elf(&acquired.image)?;
    let found = compare(&reserved, &views, &image, &listed, &[])?;
    println!("of the firmware: {found}");
    found.require(0.8)?;
    target.end()
}

/// The memory that the kernel calls reserved and does not map.
fn beside_ram(text: &str) -> Result<MemoryMap> {
    let mut regions = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with(' ')) {
        let Some((range, "reserved")) = line.split_once(" : ") else {
            continue;
        };
        let range: PhysRange = iomem::range(range)?;
        if range.start().get() >= RAM {
            regions.push(Region {
                range,
                kind: RegionKind::Reserved,
            });
        }
    }
    ensure!(!regions.is_empty(), "the firmware keeps no memory:\n{text}");
    MemoryMap::new(regions).context("reserved memory")
}
