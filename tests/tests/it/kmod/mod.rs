// SPDX-License-Identifier: MIT OR Apache-2.0
//! The module from within: the program `probe` asks it, in a machine whose
//! kernel panics at its first warning.

mod manners;
mod memory;
mod pages;
mod storm;
mod translation;

use std::time::Duration;

use anyhow::{Context, Result};
use xtask::artifacts::Artifacts;
use xtask::vm::{GuestCommand, Vm, VmBuilder, guest};

/// A machine as `shape` wants it, with the probe in its `PATH` and the module
/// loaded with `parameters`.
fn machine(shape: impl FnOnce(VmBuilder) -> VmBuilder, parameters: &str) -> Result<Vm> {
    let vm = without_module(shape)?;
    let artifacts = Artifacts::build(vm.kernel())?;
    vm.insmod(&artifacts.module, parameters)?;
    Ok(vm)
}

/// A machine with the probe in its `PATH` and no module.
fn without_module(shape: impl FnOnce(VmBuilder) -> VmBuilder) -> Result<Vm> {
    let kernel = crate::kernel()?;
    let small = Vm::builder(&kernel).memory_mib(512).scratch_gib(None);
    let vm = shape(small).boot()?;
    vm.push(&guest::build("linpmem-probe")?, "/bin/probe")?;
    Ok(vm)
}

/// The probe with these arguments.
fn probe<'vm>(vm: &'vm Vm, arguments: &str) -> GuestCommand<'vm> {
    let argv: Vec<&str> = ["probe"].into_iter().chain(arguments.split(' ')).collect();
    vm.command(&argv).timeout(Duration::from_secs(300))
}

/// Runs the probe, shows what it says and returns it.
fn ask(vm: &Vm, arguments: &str) -> Result<String> {
    let output = probe(vm, arguments).run()?.ok()?;
    let said = output.stdout_text()?.trim_end().to_owned();
    println!("{said}");
    Ok(said)
}

/// A file of the kernel's, whose length is not what its size says.
fn text(vm: &Vm, path: &str) -> Result<String> {
    let output = vm.run(&["cat", path])?.ok()?;
    Ok(output.stdout_text()?.to_owned())
}

/// The memory window `index` of the first PCI device of this vendor and kind.
fn window(vm: &Vm, vendor: &str, device: &str, index: usize) -> Result<(u64, u64)> {
    let list = vm.run(&["ls", "/sys/bus/pci/devices"])?.ok()?;
    for slot in list.stdout_text()?.lines() {
        let file = |name: &str| -> Result<String> {
            text(vm, &format!("/sys/bus/pci/devices/{slot}/{name}"))
        };
        if file("vendor")?.trim() != vendor || file("device")?.trim() != device {
            continue;
        }
        // Windows answer once the device's command register says so.
        vm.write(&format!("/sys/bus/pci/devices/{slot}/enable"), "1")?;
        let resources = file("resource")?;
        let line = resources.lines().nth(index).context("no such window")?;
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
