// SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0
//! What the entries of the kernel's resource tree, which /proc/iomem shows, say about
//! the addresses in them: one rule, for the module and for linpmem-dump.
//!
//! `Reserved` often contains device registers, or lies within a device's range: PCI's
//! configuration space, timers, chipset and TPM registers. Loading a register can have
//! side effects and can hang the machine. So an address is memory only if no entry in or
//! around it is a device.

/// What one entry says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// System RAM.
    Ram,
    /// A device, or anything else that is not known to be memory.
    Device,
    /// Memory of the firmware: Reserved, ACPI Tables, ROM and so on.
    Firmware,
}

/// What an address is that two entries contain.
///
/// RAM is RAM, whatever the kernel put into it (its own code, a crash kernel) or it was
/// put into (a virtio-mem device). Otherwise a device counts more than the firmware.
#[must_use]
pub const fn both(outer: Entry, inner: Entry) -> Entry {
    match (outer, inner) {
        (Entry::Ram, _) | (_, Entry::Ram) => Entry::Ram,
        (Entry::Device, _) | (_, Entry::Device) => Entry::Device,
        (Entry::Firmware, Entry::Firmware) => Entry::Firmware,
    }
}

/// The first address of the 12 GiB below 1 TiB that are not memory on AMD's processors:
/// an access to them is a message to the processor's fabric (an interrupt, or access to
/// the configuration space). `HT_RANGE_START` in drivers/iommu/amd/amd_iommu_types.h.
pub const FABRIC_FIRST: u64 = 0xfd_0000_0000;
/// The last of them: `HT_RANGE_END`.
pub const FABRIC_LAST: u64 = 0xff_ffff_ffff;

/// Whether memory that the firmware reserves at `addr` is the processor's fabric.
#[must_use]
pub const fn is_fabric(addr: u64) -> bool {
    FABRIC_FIRST <= addr && addr <= FABRIC_LAST
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ram_counts_more_than_devices_and_those_more_than_the_firmware() {
        use Entry::{Device, Firmware, Ram};
        for (outer, inner, result) in [
            (Firmware, Firmware, Firmware),
            (Firmware, Device, Device),
            (Device, Firmware, Device),
            (Ram, Firmware, Ram),
            (Device, Ram, Ram),
            (Ram, Device, Ram),
        ] {
            assert_eq!(both(outer, inner), result, "{outer:?} {inner:?}");
        }
    }

    #[test]
    fn the_fabric_ends_at_1_tib() {
        assert!(!is_fabric(0xfc_ffff_ffff) && is_fabric(0xfd_0000_0000));
        assert!(is_fabric((1 << 40) - 1) && !is_fabric(1 << 40));
    }
}
