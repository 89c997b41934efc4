// SPDX-License-Identifier: MIT OR Apache-2.0
//! Acquisitions through the module: the memory in the image is the memory that QEMU sees.

use super::{acquire_ram, target, with_module};
use crate::contains::contains;
use crate::kmod::{ask, machine};
use crate::pattern::{LEN, PatternFile, is_exact_at};
use crate::sources::serving;
use anyhow::{Context, Result, ensure};
use linpmem_testkit::arch::Arch;
use linpmem_testkit::artifacts;
use linpmem_testkit::ground_truth::{Manifest, open_elf};
use linpmem_testkit::target_machine::{TargetMachine, companion};

/// Where the module is in the guest: next to the dumper, where `auto` finds it.
const MODULE: &str = "/bin/linpmem.ko";

const MAPPED: u64 = 0x5000_0000;
const UNMAPPED: u64 = 0x5200_0000;

/// The kernel's data included, which the direct map lacks since Linux 7.3. The dumper loads
/// the module itself, as `driver` says, and unloads it.
fn is_acquired(cpu: Option<&str>, driver: &str) -> Result<()> {
    let target = target(|machine| {
        let machine = machine.memory_mib(512);
        match cpu {
            Some(cpu) => machine.cpu(cpu),
            None => machine,
        }
    })?;
    let vm = &target.vm;
    vm.push(&artifacts::module(vm.kernel())?, MODULE)?;
    println!("{}", target.fill(55)?);
    let args = ["--driver", driver, "--format", "elf", "--no-artifacts"];
    let acquired = acquire_ram(&target, &args, 0.7)?;
    assert_eq!(serving(&acquired, "System RAM")?, ["linpmem"]);
    let modules = target.vm.kernel_file("/proc/modules")?;
    ensure!(!modules.contains("linpmem "), "it is still loaded");
    target.end()
}

#[test]
fn ram_is_what_qemu_sees() -> Result<()> {
    is_acquired(None, MODULE)
}

/// 52-bit addresses, pointer authentication, memory tags.
#[test]
fn ram_is_what_qemu_sees_with_every_feature_of_a_processor() -> Result<()> {
    is_acquired(Some("max"), "auto")
}

/// Memory that the device tree reserves: what the kernel maps is exact, and the rest, which
/// the processor may not be allowed to touch, is refused.
#[test]
fn reserved_memory_is_exact_where_the_kernel_maps_it_and_refused_elsewhere() -> Result<()> {
    let (mapped, unmapped) = (PatternFile::at(MAPPED)?, PatternFile::at(UNMAPPED)?);
    let target = with_module(|machine| {
        let machine = mapped.load_into(machine, true);
        unmapped.load_into(machine, false)
    })?;
    println!("{}", target.fill(30)?);
    let args = ["--format", "elf", "--no-artifacts"];
    let ram = acquire_ram(&target, &args, 0.5)?;
    assert_eq!(serving(&ram, "System RAM")?, ["linpmem"]);
    is_exact_at(MAPPED, &open_elf(&ram.image)?, &ram.manifest)?;

    all_is_listed(&target)?;
    target.end()
}

/// Asked for the unmapped memory alone, the dumper lists every page of it as unread.
fn all_is_listed(target: &TargetMachine) -> Result<()> {
    let range = format!("{UNMAPPED:#x}+{LEN:#x}");
    let args = ["--no-artifacts", "--include-reserved", "--range", &range];
    let refused = target.dump(&args, "unmapped.core")?.exited(3)?;
    println!("{}", refused.text());
    contains(&refused.text(), &["EACCES"])?;
    let image = target.pull("unmapped.core")?;
    let listed = Manifest::open(&companion(&image, "manifest.jsonl"))?.unreadable()?;
    let bytes: u64 = listed.iter().map(|range| range.len().get()).sum();
    ensure!(bytes == LEN, "{bytes} bytes are listed: {listed:?}");
    Ok(())
}

/// Each page of the kernel's data is read, and it is not the zeros of a missing mapping.
#[test]
fn the_kernels_data_is_read_by_the_mapping_of_its_image() -> Result<()> {
    let vm = machine(Arch::Aarch64, |machine| machine, "")?;
    let map = vm.kernel_file("/proc/iomem")?;
    let line = map.lines().find(|line| line.ends_with(": Kernel data"));
    let line = line.context("no Kernel data in /proc/iomem")?.trim();
    let ends = line.split([' ', '-']).take(2);
    let ends: Result<Vec<u64>, _> = ends.map(|end| u64::from_str_radix(end, 16)).collect();
    let [start, last] = ends?[..] else {
        anyhow::bail!("an unexpected line: {line}");
    };
    let said = ask(&vm, &format!("zeros {start:#x} {:#x}", last + 1 - start))?;
    let words: Vec<&str> = said.split(' ').collect();
    let [_, zero, "of", pages, ..] = words[..] else {
        anyhow::bail!("an unexpected line: {said}");
    };
    let (zero, pages): (u64, u64) = (zero.parse()?, pages.parse()?);
    ensure!(pages > 500, "the kernel has only {pages} pages of data");
    ensure!(zero < pages / 2, "{zero} of {pages} pages are zero");
    vm.shutdown()
}
