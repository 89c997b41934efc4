// SPDX-License-Identifier: MIT OR Apache-2.0
//! No request touches a device of QEMU's machine for arm64.

use crate::kmod::reserved::{Registers, nothing_is_touched};
use anyhow::Result;
use linpmem_testkit::arch::Arch;

/// The interrupt controller (GICv2). The kernel itself reads the processors' half of it.
const DISTRIBUTOR: Registers = Registers {
    start: 0x800_0000,
    len: 64 << 10,
    name: Some("gic_dist"),
    can_monitor: false,
};
/// The serial port (PL011). Reading it takes away what somebody has typed.
const SERIAL_PORT: Registers = Registers {
    start: 0x900_0000,
    len: 4 << 10,
    name: Some("pl011"),
    can_monitor: true,
};
/// The clock (PL031).
const CLOCK: Registers = Registers {
    start: 0x901_0000,
    len: 4 << 10,
    name: Some("pl031"),
    can_monitor: true,
};
/// Pins (PL061).
const PINS: Registers = Registers {
    start: 0x903_0000,
    len: 4 << 10,
    name: Some("pl061"),
    can_monitor: true,
};
/// Virtio devices without PCI.
const VIRTIO: Registers = Registers {
    start: 0xa00_0000,
    len: 0x4000,
    name: Some("virtio-mmio"),
    can_monitor: true,
};
/// PCI's configuration space (ECAM).
const ECAM: Registers = Registers {
    start: 0x40_1000_0000,
    len: 256 << 20,
    name: Some("pcie-mmcfg-mmio"),
    can_monitor: true,
};
/// The second bank of flash. The first begins at 0, which a request for a walk takes for
/// the caller's own tables.
const FLASH: Registers = Registers {
    start: 0x400_0000,
    len: 64 << 20,
    name: None,
    can_monitor: true,
};

#[test]
fn a_million_requests_touch_no_registers() -> Result<()> {
    let registers = [DISTRIBUTOR, SERIAL_PORT, CLOCK, PINS, VIRTIO, ECAM, FLASH];
    nothing_is_touched(Arch::Aarch64, |machine| machine, "", &registers)
}
