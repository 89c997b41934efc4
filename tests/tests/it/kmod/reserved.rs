// SPDX-License-Identifier: MIT OR Apache-2.0
//! Device registers that the firmware calls reserved.

use super::{ask, machine};
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::Path;

/// QEMU's event for each access to emulated registers.
const EVENT: &str = "memory_region_ops_read";
/// How it names those below.
const REGISTERS: [&str; 2] = ["pcie-mmcfg-mmio", "lpc-rcrb-mmio"];

/// PCI's configuration space (ECAM), the ICH9's chipset registers (RCBA), the fabric of
/// AMD's processors, and the flash with the firmware.
const RESERVED: [u64; 4] = [0xb000_0000, 0xfed1_c000, 0xfd_0000_0000, 0xfffc_0000];

#[test]
fn registers_in_reserved_memory_are_refused_and_not_touched() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let log = folder.path().join("trace");
    let vm = machine(
        |machine| {
            machine
                .qemu_arg("-D")
                .qemu_arg(log.to_str().unwrap_or_default())
        },
        "",
    )?;
    let iomem = vm.iomem()?;
    ensure!(iomem.contains("fed1c000-fed1ffff : Reserved"), "{iomem}");
    vm.monitor(&format!("trace-event {EVENT} on"))?;
    for addr in RESERVED {
        let errno = ask(&vm, &format!("registers {addr:#x}"))?;
        ensure!(errno == "EACCES", "{addr:#x}: {errno}");
    }
    ask(&vm, "sweep 100000")?;
    vm.monitor(&format!("trace-event {EVENT} off"))?;
    ensure!(accesses(&log)? == 0, "somebody read the registers");
    // The trace would show it.
    vm.monitor(&format!("trace-event {EVENT} on"))?;
    for addr in [RESERVED[0], RESERVED[1]] {
        vm.monitor(&format!("xp /1xw {addr:#x}"))?;
    }
    vm.monitor(&format!("trace-event {EVENT} off"))?;
    ensure!(accesses(&log)? == 2, "QEMU's trace does not show reads");
    vm.shutdown()
}

/// How often the registers were read, according to QEMU.
fn accesses(log: &Path) -> Result<usize> {
    let text = fs::read_to_string(log).with_context(|| format!("reading {}", log.display()))?;
    let is_ours = |line: &&str| REGISTERS.iter().any(|name| line.contains(name));
    Ok(text.lines().filter(is_ours).count())
}

/// The same on a machine with another chipset: nothing there may be read by accident
/// either, and its kernel panics at its first warning.
#[test]
fn random_reads_of_an_older_machine() -> Result<()> {
    let vm = machine(|machine| machine.machine("pc"), "")?;
    ask(&vm, "sweep 1000000")?;
    for addr in [0xfd_0000_0000, 0xfffc_0000_u64] {
        let errno = ask(&vm, &format!("registers {addr:#x}"))?;
        ensure!(errno == "EACCES", "{addr:#x}: {errno}");
    }
    vm.shutdown()
}
