// SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0
//! Memory that a confidential virtual machine (TDX, SEV-SNP) has not accepted from its
//! hypervisor. Touching it can end the machine.
//!
//! The firmware hands over a bitmap with a bit for each unit of memory, usually 2 MiB: it
//! is set until the unit has been accepted (`struct efi_unaccepted_memory` in
//! include/linux/efi.h). The page's own flag does not tell: the kernel sets it on the
//! first page of a free block, and clears it before the block has been accepted.

use super::kernel::PAGE_SIZE;

/// Where the bitmap's units lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Units {
    /// The physical address of the first unit.
    pub base: u64,
    /// Bytes of memory in a unit.
    pub unit_bytes: u64,
    /// Bits in the bitmap. Memory beyond it was accepted by the firmware.
    pub bits: u64,
}

impl Units {
    /// Whether the page at `page` may not be read, according to the bits of the bitmap.
    ///
    /// The unit before an unaccepted one counts as unaccepted, as it does for the kernel
    /// (`range_contains_unaccepted_memory`): a load of a word can reach beyond its page.
    pub fn refuse(self, page: u64, is_set: impl Fn(u64) -> bool) -> bool {
        let Self {
            base,
            unit_bytes,
            bits,
        } = self;
        let Some(last) = page.checked_add(PAGE_SIZE - 1) else {
            return true;
        };
        if last < base {
            // Only the unit behind it can be in the bitmap.
            return base - last <= unit_bytes && bits > 0 && is_set(0);
        }
        // A table that makes no sense: nothing is known about any page.
        let Some(first) = page.saturating_sub(base).checked_div(unit_bytes) else {
            return true;
        };
        let behind = ((last - base) / unit_bytes).saturating_add(1);
        (first..=behind).any(|unit| unit < bits && is_set(unit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNITS: Units = Units {
        base: 0x1_0000_0000,
        unit_bytes: 2 << 20,
        bits: 64,
    };

    /// A free block of 1,024 pages is two units; only its first page has the flag.
    #[test]
    fn every_page_of_a_block_is_refused_not_only_the_first() {
        let block = UNITS.base + (8 << 20);
        let is_set = |unit| unit == 4 || unit == 5;
        for page in (block..block + (4 << 20)).step_by(4096) {
            assert!(UNITS.refuse(page, is_set), "{page:#x}");
        }
        // A block that is being accepted: half of it is done.
        let half = |unit| unit == 5;
        assert!(UNITS.refuse(block + (2 << 20), half));
        assert!(!UNITS.refuse(block + (4 << 20), is_set), "behind it");
    }

    #[test]
    fn the_unit_before_an_unaccepted_one_is_refused_too() {
        let is_set = |unit| unit == 1;
        assert!(UNITS.refuse(UNITS.base, is_set));
        assert!(!UNITS.refuse(UNITS.base + (4 << 20), is_set));
        let first = |unit| unit == 0;
        assert!(UNITS.refuse(UNITS.base - 4096, first));
        assert!(!UNITS.refuse(UNITS.base - (4 << 20), first));
    }

    #[test]
    fn memory_without_a_bit_was_accepted_and_nonsense_is_refused() {
        assert!(!UNITS.refuse(UNITS.base + 64 * (2 << 20), |_| true));
        assert!(!UNITS.refuse(0x1000, |_| true));
        assert!(UNITS.refuse(u64::MAX - 4094, |_| false));
        let zero = Units {
            unit_bytes: 0,
            ..UNITS
        };
        assert!(zero.refuse(UNITS.base, |_| false));
    }
}
