// SPDX-License-Identifier: MIT OR Apache-2.0
//! The module on arm64, built for the newest kernel.

use super::{ram_is_right, target};
use crate::sources::serving;
use anyhow::{Context, Result, ensure};
use linpmem_testkit::arch::Arch;
use linpmem_testkit::artifacts::{self, ModuleKind};
use linpmem_testkit::target_machine::TargetMachine;
use linpmem_testkit::vm::{Vm, VmBuilder, guest};
use std::time::Duration;

/// Where the module is in the guest.
const MODULE: &str = "/tmp/linpmem.ko";

/// Boots a machine that `configure` has changed, with the module loaded, and the dumper and
/// the probe in its `PATH`.
fn with_module(configure: impl FnOnce(VmBuilder) -> VmBuilder) -> Result<TargetMachine> {
    let target = target(|machine| configure(machine.memory_mib(512)))?;
    let vm = &target.vm;
    let module = artifacts::module_of(ModuleKind::Built, vm.kernel())?;
    vm.push(&module, MODULE)?;
    vm.insmod(&module, "")?;
    vm.push(
        &guest::build_for(Arch::Aarch64, "linpmem-probe")?,
        "/bin/probe",
    )?;
    Ok(target)
}

/// Runs the probe, prints its output and returns it.
fn ask(vm: &Vm, arguments: &str) -> Result<String> {
    let argv: Vec<&str> = ["probe"].into_iter().chain(arguments.split(' ')).collect();
    let output = vm.command(&argv).timeout(Duration::from_secs(300)).run()?;
    let printed = output.ok()?.stdout_text()?.trim_end().to_owned();
    println!("{printed}");
    Ok(printed)
}

/// The kernel's data included, which the direct map lacks since Linux 7.3.
#[test]
fn ram_is_what_qemu_sees() -> Result<()> {
    let target = with_module(|machine| machine)?;
    println!("{}", target.fill(55)?);
    let acquired = target.acquire(&["--format", "elf", "--no-artifacts"], "out.core")?;
    println!("{}", acquired.output.text());
    let listed = acquired.manifest.unreadable()?;
    ensure!(listed.is_empty(), "unreadable: {listed:?}");
    let acquired = acquired.complete()?;
    assert_eq!(serving(&acquired, "System RAM")?, ["linpmem"]);
    ram_is_right(&acquired, 0.7)?;
    target.end()
}

/// Each page of the kernel's data is read, and it is not the zeros of a missing mapping.
#[test]
fn the_kernels_data_is_read_by_the_mapping_of_its_image() -> Result<()> {
    let target = with_module(|machine| machine)?;
    let vm = &target.vm;
    let map = vm.kernel_file("/proc/iomem")?;
    let line = map.lines().find(|line| line.ends_with(": Kernel data"));
    let line = line.context("no Kernel data in /proc/iomem")?.trim();
    let ends = line.split([' ', '-']).take(2);
    let ends: Result<Vec<u64>, _> = ends.map(|end| u64::from_str_radix(end, 16)).collect();
    let [start, last] = ends?[..] else {
        anyhow::bail!("an unexpected line: {line}");
    };
    let said = ask(vm, &format!("zeros {start:#x} {:#x}", last + 1 - start))?;
    let words: Vec<&str> = said.split(' ').collect();
    let [_, zero, "of", pages, ..] = words[..] else {
        anyhow::bail!("an unexpected line: {said}");
    };
    let (zero, pages): (u64, u64) = (zero.parse()?, pages.parse()?);
    ensure!(pages > 500, "the kernel has only {pages} pages of data");
    ensure!(zero < pages / 2, "{zero} of {pages} pages are zero");
    target.end()
}

/// Processors with 48 bits, and with every feature that QEMU emulates: 52 bits, and entries
/// that have room for them.
#[test]
fn addresses_translate_as_linux_and_qemu_say() -> Result<()> {
    for cpu in ["cortex-a72", "max"] {
        let target = with_module(|machine| machine.cpu(cpu))?;
        let vm = &target.vm;
        ask(vm, "user-pages 0")?;
        as_qemu_translates(vm)?;
        ask(vm, "processes")?;
        ask(vm, "original-translations")?;
        ask(vm, "garbage")?;
        target.end()?;
    }
    Ok(())
}

/// Kernel addresses, compared with what QEMU's processors make of them.
fn as_qemu_translates(vm: &Vm) -> Result<()> {
    let told = ask(vm, "kernel-addresses")?;
    vm.pause()?;
    for line in told.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let [name, virt, phys] = words[..] else {
            anyhow::bail!("an unexpected line: {line}");
        };
        let said = vm.monitor(&format!("gva2gpa 0x{virt}"))?;
        ensure!(
            said.trim() == format!("gpa: 0x{phys}"),
            "{name} at {virt} is at {phys}, and for QEMU: {said}"
        );
    }
    vm.resume()
}

#[test]
fn it_is_loaded_and_unloaded_again_and_again() -> Result<()> {
    let target = with_module(|machine| machine)?;
    ask(&target.vm, &format!("reload {MODULE} 20"))?;
    ask(&target.vm, "unload 0")?;
    target.end()
}

/// A load from a device that does not answer would stop the machine.
#[test]
fn devices_are_refused_in_any_case() -> Result<()> {
    let target = with_module(|machine| machine)?;
    let vm = &target.vm;
    // QEMU's serial port, a hole, and flash.
    for address in ["0x9000000", "0x30000000", "0x0"] {
        let said = ask(vm, &format!("errno {address} 0"))?;
        ensure!(said == "EACCES", "{address}: {said}");
    }
    ask(vm, "unload 0")?;
    let module = artifacts::module_of(ModuleKind::Built, vm.kernel())?;
    let refused = vm.insmod(&module, "allow_device=1");
    ensure!(refused.is_err(), "the module accepts allow_device=1");
    let log = vm.kernel_log()?;
    ensure!(log.contains("allow_device=1 is not supported"), "{log}");
    target.end()
}
