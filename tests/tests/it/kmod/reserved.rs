// SPDX-License-Identifier: MIT OR Apache-2.0
//! Device registers, among them those that the firmware calls reserved.

use super::{ask, machine};
use anyhow::{Context, Result, ensure};
use linpmem_testkit::arch::Arch;
use linpmem_testkit::vm::{Vm, VmBuilder};
use std::fs;
use std::path::Path;

/// QEMU's event for each access to emulated registers.
const EVENT: &str = "memory_region_ops_read";

/// Registers of a device.
#[derive(Clone, Copy)]
pub struct Registers {
    pub start: u64,
    pub len: u64,
    /// How QEMU's trace names them. It does not tell reads of the others.
    pub name: Option<&'static str>,
    /// Whether QEMU's monitor reads them. Of some it asks which processor reads, and crashes.
    pub can_monitor: bool,
}

/// PCI's configuration space (ECAM).
const ECAM: Registers = Registers {
    start: 0xb000_0000,
    len: 256 << 20,
    name: Some("pcie-mmcfg-mmio"),
    can_monitor: true,
};
/// The ICH9's chipset registers (RCBA).
const RCBA: Registers = Registers {
    start: 0xfed1_c000,
    len: 16 << 10,
    name: Some("lpc-rcrb-mmio"),
    can_monitor: true,
};
/// A device of QEMU's, in memory that the kernel's command line reserves.
const TEST_DEVICE: Registers = Registers {
    start: 0xff00_0000,
    len: 64 << 10,
    name: Some("pc-testdev-iomem"),
    can_monitor: true,
};
/// The fabric of AMD's processors.
const FABRIC: Registers = Registers {
    start: 0xfd_0000_0000,
    len: 12 << 30,
    name: None,
    can_monitor: true,
};
/// The flash with the firmware.
const FLASH: Registers = Registers {
    start: 0xfffc_0000,
    len: 256 << 10,
    name: None,
    can_monitor: true,
};

/// Devices are permitted here, so that an accidental request for one would succeed.
#[test]
fn a_million_requests_touch_no_registers() -> Result<()> {
    let registers = [ECAM, RCBA, TEST_DEVICE, FABRIC, FLASH];
    nothing_reserved_is_touched("q35", "allow_device=1", &registers)
}

#[test]
fn a_million_requests_touch_no_registers_of_an_older_machine() -> Result<()> {
    nothing_reserved_is_touched("pc", "", &[TEST_DEVICE, FABRIC, FLASH])
}

fn nothing_reserved_is_touched(
    chipset: &str,
    parameters: &str,
    registers: &[Registers],
) -> Result<()> {
    let configure = |machine: VmBuilder| {
        machine
            .machine(chipset)
            .device("pc-testdev")
            .append("memmap=64K$0xff000000")
    };
    nothing_is_touched(Arch::X86_64, configure, parameters, registers)
}

/// A million requests, half of them aimed at the registers, read none of them.
pub fn nothing_is_touched(
    arch: Arch,
    configure: impl FnOnce(VmBuilder) -> VmBuilder,
    parameters: &str,
    registers: &[Registers],
) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let log = folder.path().join("trace");
    let vm = machine(
        arch,
        |machine| {
            configure(machine)
                // A message on the console is a write to the serial port, and reads of its flags.
                .append("loglevel=1")
                .qemu_arg("-D")
                .qemu_arg(log.to_str().unwrap_or_default())
        },
        parameters,
    )?;
    if arch == Arch::X86_64 {
        are_reserved(&vm, registers)?;
    }
    vm.monitor(&format!("trace-event {EVENT} on"))?;
    for Registers { start, .. } in registers {
        let errno = ask(&vm, &format!("registers {start:#x}"))?;
        ensure!(errno == "EACCES", "{start:#x}: {errno}");
    }
    let ranges: Vec<String> = registers
        .iter()
        .map(|Registers { start, len, .. }| format!("{start:#x} {len:#x}"))
        .collect();
    ask(&vm, &format!("sweep 1000000 {}", ranges.join(" ")))?;
    vm.monitor(&format!("trace-event {EVENT} off"))?;
    let names: Vec<&str> = registers.iter().filter_map(|one| one.name).collect();
    let seen = accesses(&log, &names)?;
    ensure!(seen.is_empty(), "somebody read the registers: {seen:?}");
    // The trace would show it.
    vm.monitor(&format!("trace-event {EVENT} on"))?;
    let mut shown = Vec::new();
    for one in registers.iter().filter(|one| one.can_monitor) {
        vm.monitor(&format!("xp /1xw {:#x}", one.start))?;
        shown.extend(one.name);
    }
    vm.monitor(&format!("trace-event {EVENT} off"))?;
    let seen = accesses(&log, &names)?;
    ensure!(
        shown
            .iter()
            .all(|name| seen.iter().any(|line| line.contains(name))),
        "QEMU's trace does not show reads: {seen:?}"
    );
    vm.shutdown()
}

/// The firmware, or the kernel's command line, calls these registers reserved.
fn are_reserved(vm: &Vm, registers: &[Registers]) -> Result<()> {
    let iomem = vm.iomem()?;
    for Registers { start, len, .. } in [RCBA, TEST_DEVICE] {
        let line = format!("{start:08x}-{:08x} : Reserved", start + len - 1);
        let is_there = registers.iter().any(|one| one.start == start);
        ensure!(!is_there || iomem.contains(&line), "no {line}: {iomem}");
    }
    Ok(())
}

/// The reads of the registers with these names, according to QEMU.
fn accesses(log: &Path, names: &[&str]) -> Result<Vec<String>> {
    let text = fs::read_to_string(log).with_context(|| format!("reading {}", log.display()))?;
    let is_ours = |line: &&str| names.iter().any(|name| line.contains(name));
    Ok(text.lines().filter(is_ours).map(str::to_owned).collect())
}
