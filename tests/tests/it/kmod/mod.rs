// SPDX-License-Identifier: MIT OR Apache-2.0
//! The module as seen from inside the machine: the program `probe` exercises it, in a
//! machine whose kernel panics at its first warning.
//!
//! What does not depend on the processor is a function that takes the architecture. The tests
//! here call it for x86-64, those in `arm64::module` for arm64.

pub mod device_semantics;
pub mod hotplug;
pub mod memory;
pub mod pages;
pub mod reserved;
pub mod storm;
pub mod translation;

use crate::machines;
use anyhow::{Context, Result};
use linpmem_testkit::arch::Arch;
use linpmem_testkit::artifacts;
use linpmem_testkit::vm::{GuestCommand, Vm, VmBuilder, guest};
use std::time::Duration;

/// A machine that `configure` has changed, with the probe in its `PATH` and the module
/// loaded with `parameters`.
pub fn machine(
    arch: Arch,
    configure: impl FnOnce(VmBuilder) -> VmBuilder,
    parameters: &str,
) -> Result<Vm> {
    let vm = without_module(arch, configure)?;
    vm.insmod(&artifacts::module(vm.kernel())?, parameters)?;
    Ok(vm)
}

/// A machine that `configure` has changed, with the probe in its `PATH` and no module.
fn without_module(arch: Arch, configure: impl FnOnce(VmBuilder) -> VmBuilder) -> Result<Vm> {
    let vm = machines::small_of(arch, configure)?;
    vm.push(&guest::build_for(arch, "linpmem-probe")?, "/bin/probe")?;
    Ok(vm)
}

/// Whether the machine's kernel has an option that what follows needs; says so if not.
fn has(vm: &Vm, option: &str) -> Result<bool> {
    let has = vm.kernel().is_configured(&format!("{option}=y"))?;
    if !has {
        println!("{} lacks {option}: not tested on it", vm.kernel().release());
    }
    Ok(has)
}

/// The probe with these arguments.
pub fn probe<'vm>(vm: &'vm Vm, arguments: &str) -> GuestCommand<'vm> {
    let argv: Vec<&str> = ["probe"].into_iter().chain(arguments.split(' ')).collect();
    vm.command(&argv).timeout(Duration::from_secs(300))
}

/// Runs the probe, prints its output and returns it.
pub fn ask(vm: &Vm, arguments: &str) -> Result<String> {
    let output = probe(vm, arguments).run()?.ok()?;
    let printed = output.stdout_text()?.trim_end().to_owned();
    println!("{printed}");
    Ok(printed)
}

/// The memory window `index` of the first PCI device with these ids.
pub fn window(vm: &Vm, vendor: &str, device: &str, index: usize) -> Result<(u64, u64)> {
    let list = vm.run(&["ls", "/sys/bus/pci/devices"])?.ok()?;
    for slot in list.stdout_text()?.lines() {
        let file = |name: &str| -> Result<String> {
            vm.kernel_file(&format!("/sys/bus/pci/devices/{slot}/{name}"))
        };
        if file("vendor")?.trim() != vendor || file("device")?.trim() != device {
            continue;
        }
        // Windows respond once the device's command register enables them.
        vm.write(&format!("/sys/bus/pci/devices/{slot}/enable"), "1")?;
        let resources = file("resource")?;
        let line = resources
            .lines()
            .nth(index)
            .context("the device has no such window")?;
        let mut ends = line.split(' ').map(|word| {
            let digits = word.strip_prefix("0x").unwrap_or(word);
            u64::from_str_radix(digits, 16)
        });
        let start = ends.next().context("no start")??;
        let last = ends.next().context("no end")??;
        return Ok((start, last - start + 1));
    }
    anyhow::bail!("there is no PCI device {vendor}:{device}")
}
