// SPDX-License-Identifier: MIT OR Apache-2.0
//! Device registers that the firmware calls reserved.

use super::{ask, machine};
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::Path;

/// QEMU's event for each access to emulated registers.
const EVENT: &str = "memory_region_ops_read";

/// Registers in reserved memory.
struct Registers {
    start: u64,
    len: u64,
    /// How QEMU's trace names them. It does not tell reads of the others.
    name: Option<&'static str>,
}

/// PCI's configuration space (ECAM).
const ECAM: Registers = Registers {
    start: 0xb000_0000,
    len: 256 << 20,
    name: Some("pcie-mmcfg-mmio"),
};
/// The ICH9's chipset registers (RCBA).
const RCBA: Registers = Registers {
    start: 0xfed1_c000,
    len: 16 << 10,
    name: Some("lpc-rcrb-mmio"),
};
/// A device of QEMU's, in memory that the kernel's command line reserves.
const TEST_DEVICE: Registers = Registers {
    start: 0xff00_0000,
    len: 64 << 10,
    name: Some("pc-testdev-iomem"),
};
/// The fabric of AMD's processors.
const FABRIC: Registers = Registers {
    start: 0xfd_0000_0000,
    len: 12 << 30,
    name: None,
};
/// The flash with the firmware.
const FLASH: Registers = Registers {
    start: 0xfffc_0000,
    len: 256 << 10,
    name: None,
};

/// Devices are permitted here, so that an accidental request for one would succeed.
#[test]
fn a_million_requests_touch_no_registers() -> Result<()> {
    let registers = [ECAM, RCBA, TEST_DEVICE, FABRIC, FLASH];
    nothing_is_touched("q35", "allow_device=1", &registers)
}

#[test]
fn a_million_requests_touch_no_registers_of_an_older_machine() -> Result<()> {
    nothing_is_touched("pc", "", &[TEST_DEVICE, FABRIC, FLASH])
}

fn nothing_is_touched(chipset: &str, parameters: &str, registers: &[Registers]) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let log = folder.path().join("trace");
    let vm = machine(
        |machine| {
            machine
                .machine(chipset)
                .device("pc-testdev")
                .append("memmap=64K$0xff000000")
                .qemu_arg("-D")
                .qemu_arg(log.to_str().unwrap_or_default())
        },
        parameters,
    )?;
    let iomem = vm.iomem()?;
    ensure!(iomem.contains("ff000000-ff00ffff : Reserved"), "{iomem}");
    ensure!(
        chipset == "pc" || iomem.contains("fed1c000-fed1ffff : Reserved"),
        "{iomem}"
    );
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
    ensure!(accesses(&log)? == 0, "somebody read the registers");
    // The trace would show it.
    vm.monitor(&format!("trace-event {EVENT} on"))?;
    let named = registers
        .iter()
        .filter(|registers| registers.name.is_some());
    for Registers { start, .. } in named.clone() {
        vm.monitor(&format!("xp /1xw {start:#x}"))?;
    }
    vm.monitor(&format!("trace-event {EVENT} off"))?;
    ensure!(
        accesses(&log)? == named.count(),
        "QEMU's trace does not show reads"
    );
    vm.shutdown()
}

/// How often the registers were read, according to QEMU.
fn accesses(log: &Path) -> Result<usize> {
    let text = fs::read_to_string(log).with_context(|| format!("reading {}", log.display()))?;
    let names = [ECAM, RCBA, TEST_DEVICE].map(|registers| registers.name.unwrap_or_default());
    let is_ours = |line: &&str| names.iter().any(|name| line.contains(name));
    Ok(text.lines().filter(is_ours).count())
}
