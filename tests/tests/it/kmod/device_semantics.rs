// SPDX-License-Identifier: MIT OR Apache-2.0
//! The module as a device: loading, unloading, lockdown, permissions.

use super::{ask, machine, probe, without_module};
use crate::machines::device_address;
use anyhow::{Context, Result, ensure};
use linpmem_testkit::arch::Arch;
use linpmem_testkit::artifacts;

/// The error of delete_module(2) for a module that is in use.
const EAGAIN: i32 = 11;

#[test]
fn it_loads_and_unloads_but_not_while_it_is_open() -> Result<()> {
    reloads(Arch::X86_64)
}

pub fn reloads(arch: Arch) -> Result<()> {
    let vm = machine(arch, |machine| machine, "")?;
    let mut holders = [probe(&vm, "held").start()?, probe(&vm, "held").start()?];
    for holder in &mut holders {
        holder.wait_for("open")?;
    }
    for holder in holders {
        ask(&vm, &format!("unload {EAGAIN}"))?;
        // A reader that is killed releases it.
        holder.signal(9)?;
        holder.wait()?;
    }
    ask(&vm, "reload /tmp/linpmem.ko 200")?;

    // It logs one line when it is loaded and one when it is unloaded, and nothing else.
    let log = vm.kernel_log()?;
    let ours = log.lines().filter(|line| line.contains(";linpmem: "));
    let others: Vec<&str> = ours
        .filter(|line| {
            ![
                "linpmem: loaded",
                "linpmem: unloaded",
                "out-of-tree",
                "verification",
            ]
            .iter()
            .any(|known| line.contains(known))
        })
        .collect();
    ensure!(others.is_empty(), "the module also logged {others:?}");
    vm.shutdown()
}

/// The kernel logs each mapping that it refuses: here, uncached ones of pages with ACPI
/// tables, which it has mapped cached itself.
#[test]
fn refused_mappings_do_not_flood_the_kernels_log() -> Result<()> {
    let vm = machine(Arch::X86_64, |machine| machine, "allow_device=1")?;
    let iomem = vm.iomem()?;
    let tables = iomem
        .lines()
        .find_map(|line| line.strip_suffix("-1fffffff : Reserved"))
        .context("no reserved memory at the end of RAM")?;
    let start = u64::from_str_radix(tables, 16)?;
    let before = vm.kernel_log()?;
    let refused = ask(
        &vm,
        &format!("uncached {start:#x} {:#x}", 0x2000_0000 - start),
    )?;
    ensure!(refused.parse::<u64>()? > 4, "{refused} pages were refused");
    let after = vm.kernel_log()?;
    let new: Vec<&str> = after
        .strip_prefix(before.as_str())
        .context("the log was cut")?
        .lines()
        .collect();
    println!("{new:?}");
    ensure!((1..=2).contains(&new.len()), "the kernel logged {new:?}");
    vm.shutdown()
}

#[test]
fn lockdown_stops_open_files_immediately() -> Result<()> {
    locks_down(Arch::X86_64)
}

pub fn locks_down(arch: Arch) -> Result<()> {
    let vm = machine(arch, |machine| machine, "")?;
    let mut holder = probe(&vm, "held").start()?;
    holder.wait_for("open")?;
    vm.write("/sys/kernel/security/lockdown", "integrity")?;
    vm.put("/tmp/go", 0o600, b"")?;
    let said = holder.wait()?.ok()?.text();
    ensure!(
        said.contains("locked down") && said.contains("EPERM"),
        "reading an open file must be refused: {said}"
    );
    let refused = probe(&vm, "errno 0x100000 0").run()?.exited(1)?;
    let said = refused.text();
    ensure!(
        said.contains("lockdown is integrity"),
        "the reason is missing: {said}"
    );
    vm.shutdown()
}

#[test]
fn only_the_owner_may_open_it() -> Result<()> {
    has_an_owner(Arch::X86_64)
}

pub fn has_an_owner(arch: Arch) -> Result<()> {
    let vm = machine(arch, |machine| machine, "owner_uid=1000 major=42")?;
    ensure!(
        vm.read("/dev/linpmem").is_err(),
        "with a major number given, the module must not create a node"
    );
    let devices = vm.kernel_file("/proc/devices")?;
    ensure!(devices.contains("42 linpmem"), "{devices}");
    ask(&vm, "node 1000")?;
    let device = format!("errno {:#x} 0", device_address(arch));
    let owner = probe(&vm, &device).uid(1000).run()?.ok()?;
    ensure!(owner.stdout_text()?.trim() == "EACCES");
    let other = probe(&vm, &device).uid(1001).run()?.exited(1)?;
    let said = other.text();
    ensure!(
        said.contains("refused to open") && said.contains("CAP_SYS_RAWIO"),
        "{said}"
    );
    vm.shutdown()
}

#[test]
fn by_default_it_serves_the_originals_device_number_too() -> Result<()> {
    serves_both_numbers(Arch::X86_64)
}

pub fn serves_both_numbers(arch: Arch) -> Result<()> {
    let vm = without_module(arch, |machine| machine)?;
    let module = artifacts::module(vm.kernel())?;
    vm.insmod(&module, "")?;
    let devices = vm.kernel_file("/proc/devices")?;
    ensure!(devices.contains("42 linpmem"), "{devices}");
    ask(&vm, &format!("errno {:#x} 0", device_address(arch)))?;
    vm.shutdown()
}
