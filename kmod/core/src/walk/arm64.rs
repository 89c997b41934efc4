// SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0
//! Translation through arm64 page tables: stage 1 of EL1 and EL0 (Arm ARM, DDI 0487,
//! chapter D8, "The AArch64 Virtual Memory System Architecture"; Linux's
//! arch/arm64/include/asm/pgtable-hwdef.h).
//!
//! What the manual calls levels -1 to 3 is counted by depth here: 1 is the last table, as
//! on x86-64, and the top one has a depth of up to 5.

mod registers;
#[cfg(test)]
mod tests;

use super::super::Errno;
use super::{Outcome, Rights, Step, Walk, MAX_LEVELS};

pub use registers::{Granule, Half, Registers};

/// The processor uses this entry.
const VALID: u64 = 1 << 0;
/// Above the last table: the address of the next one, not a block. In the last one: a page.
const TABLE: u64 = 1 << 1;
/// AP\[1\]: accessible at EL0.
const USER: u64 = 1 << 6;
/// AP\[2\]: not writable.
const READ_ONLY: u64 = 1 << 7;
/// DBM: the processor may clear `READ_ONLY` at a write. With permission indirection,
/// Linux lets this bit alone say whether the page is writable.
const DIRTY_MANAGED: u64 = 1 << 51;
/// PXN: not executable at EL1.
const KERNEL_NO_EXECUTE: u64 = 1 << 53;
/// UXN: not executable at EL0.
const USER_NO_EXECUTE: u64 = 1 << 54;
/// In an entry for a table: PXNTable.
const TABLE_KERNEL_NO_EXECUTE: u64 = 1 << 59;
/// UXNTable.
const TABLE_USER_NO_EXECUTE: u64 = 1 << 60;
/// APTable\[0\]: nothing below is accessible at EL0.
const TABLE_NO_USER: u64 = 1 << 61;
/// APTable\[1\]: nothing below is writable.
const TABLE_READ_ONLY: u64 = 1 << 62;

/// How this machine translates addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paging {
    /// Addresses that begin with zeros, which TTBR0 translates.
    pub lower: Half,
    /// Addresses that begin with ones, which TTBR1 translates.
    pub upper: Half,
    /// Bits of an address in an entry: 32 to 52.
    pub output_bits: u32,
    /// Whether entries for 4 KiB and 16 KiB have the format with 52 bits (LPA2; TCR.DS).
    pub wide_entries: bool,
    /// Whether the processor manages the dirty state of pages (TCR.HD).
    pub manages_dirty: bool,
    /// Whether an entry's rights are looked up in a register (permission indirection).
    pub indirect_rights: bool,
    /// The bits of an invalid entry by which Linux says that it still maps the page.
    pub hidden: u64,
    /// Physical address of the kernel's top table: TTBR1.
    pub kernel_root: u64,
}

/// Whether TTBR1 translates `virt`. Bit 55 decides, as the bits above can be a tag.
#[must_use]
pub const fn is_upper(virt: u64) -> bool {
    virt & 1 << 55 != 0
}

/// What an entry is, by its two lowest bits and its level.
enum Kind {
    Invalid,
    /// Linux still maps memory by it, but any access faults.
    Hidden,
    Table,
    Leaf,
}

impl Paging {
    /// The half of the address space that `virt` is in.
    #[must_use]
    pub const fn half(&self, virt: u64) -> &Half {
        if is_upper(virt) {
            &self.upper
        } else {
            &self.lower
        }
    }

    /// The top table's address, given itself or a TTBR value. Where a physical address has at
    /// most 48 bits, those above are the ASID and are ignored. Where it has more, its highest
    /// bits have the place of the ASID in a register, so that the address has to be given.
    #[must_use]
    pub fn root(&self, given: u64) -> u64 {
        if self.output_bits > 48 {
            given & ones(52) & !ones(6)
        } else {
            // Bit 0 of a register is CnP, not an address.
            given & ones(48) & !ones(4)
        }
    }

    /// Whether the processor translates `virt`: its bits above those that tables translate
    /// are all equal, except for a tag that is ignored.
    #[must_use]
    pub fn is_canonical(&self, virt: u64) -> bool {
        let half = self.half(virt);
        let looked_at = if half.ignores_top_byte { 56 } else { 64 };
        let above = ones(looked_at) & !ones(half.va_bits);
        let expected = if is_upper(virt) { above } else { 0 };
        virt & above == expected
    }

    /// Translates `virt` through the tables below `root`, which is the top table of the half
    /// that `virt` is in. `read` reads the eight bytes at a physical address.
    ///
    /// # Errors
    /// `EINVAL` for an address that the processor does not translate.
    pub fn walk(
        &self,
        root: u64,
        virt: u64,
        mut read: impl FnMut(u64) -> Result<u64, Errno>,
    ) -> Result<Walk, Errno> {
        if !self.is_canonical(virt) {
            return Err(Errno::EINVAL);
        }
        let half = self.half(virt);
        let mut walk = Walk {
            steps: [Step::default(); MAX_LEVELS],
            taken: 0,
            outcome: Outcome::NotPresent,
            rights: Rights {
                write: true,
                user: true,
                execute: true,
            },
        };
        let offset_bits = half.granule.bits();
        let translated = virt & ones(half.va_bits);
        let mut limits = TableLimits::default();
        let mut table = root & !ones(half.root_bits());
        for depth in (1..=half.levels()).rev() {
            let shift = half.granule.shift(depth);
            // The bits above the half's own are gone, so that a small top table has few entries.
            let index = right(translated, shift) & ones(half.granule.index_bits());
            let addr = table | index.saturating_mul(8);
            let value = match self.check(addr).and_then(|()| read(addr)) {
                Ok(value) => value,
                Err(errno) => {
                    walk.outcome = Outcome::Broken(errno);
                    return Ok(walk);
                }
            };
            if let Some(step) = walk.steps.get_mut(walk.taken) {
                *step = Step { addr, value };
            }
            walk.taken = walk.taken.saturating_add(1);

            let output = self.output(half.granule, value);
            match self.kind(half.granule, depth, value) {
                Kind::Invalid => return Ok(walk),
                Kind::Table => {
                    if half.has_table_limits {
                        limits.add(value);
                    }
                    table = output & !ones(offset_bits);
                }
                kind @ (Kind::Leaf | Kind::Hidden) => {
                    let base = output & !ones(shift);
                    if let Err(errno) = self.check(base) {
                        walk.outcome = Outcome::Broken(errno);
                        return Ok(walk);
                    }
                    walk.rights = self.rights(value, limits);
                    walk.outcome = Outcome::Mapped {
                        phys: base | (virt & ones(shift)),
                        page_bytes: 1u64.checked_shl(shift).unwrap_or(0),
                        no_access: matches!(kind, Kind::Hidden),
                    };
                    return Ok(walk);
                }
            }
        }
        Ok(walk)
    }

    fn kind(&self, granule: Granule, depth: u32, value: u64) -> Kind {
        let may_be_leaf = match value & TABLE {
            0 => depth <= self.highest_block(granule) && depth > 1,
            _ => depth == 1,
        };
        if value & VALID != 0 {
            match (may_be_leaf, value & TABLE) {
                (true, _) => Kind::Leaf,
                // A block where there is none, or a reserved encoding in the last table.
                (false, 0) => Kind::Invalid,
                (false, _) => Kind::Table,
            }
        } else if value & self.hidden != 0 && may_be_leaf {
            Kind::Hidden
        } else {
            Kind::Invalid
        }
    }

    /// The depth of the highest table whose entries may be blocks.
    fn highest_block(&self, granule: Granule) -> u32 {
        match granule {
            Granule::Kib4 if self.wide_entries => 4,
            Granule::Kib4 => 3,
            Granule::Kib16 if self.wide_entries => 3,
            Granule::Kib64 if self.output_bits > 48 => 3,
            Granule::Kib16 | Granule::Kib64 => 2,
        }
    }

    /// The address in an entry, whose highest bits have another place in each format.
    fn output(&self, granule: Granule, value: u64) -> u64 {
        let low = !ones(granule.bits());
        match granule {
            Granule::Kib4 | Granule::Kib16 if self.wide_entries => {
                value & ones(50) & low | field(value, 8, 2) << 50
            }
            Granule::Kib64 if self.output_bits > 48 => {
                value & ones(48) & low | field(value, 12, 4) << 48
            }
            Granule::Kib4 | Granule::Kib16 | Granule::Kib64 => value & ones(48) & low,
        }
    }

    fn rights(&self, leaf: u64, limits: TableLimits) -> Rights {
        let is_writable = leaf & READ_ONLY == 0;
        let is_managed = leaf & DIRTY_MANAGED != 0;
        let write = match self.indirect_rights {
            true => is_managed && (is_writable || self.manages_dirty),
            false => is_writable || (is_managed && self.manages_dirty),
        };
        let user_executes = leaf & USER_NO_EXECUTE == 0 && !limits.user_no_execute;
        let kernel_executes = leaf & KERNEL_NO_EXECUTE == 0 && !limits.kernel_no_execute;
        // A page that user mode can only execute has no AP[1].
        let user = (leaf & USER != 0 && !limits.no_user) || user_executes;
        Rights {
            write: write && !limits.read_only,
            user,
            execute: if user { user_executes } else { kernel_executes },
        }
    }

    /// Where an entry's address has more bits than the machine's, the processor faults.
    fn check(&self, addr: u64) -> Result<(), Errno> {
        if addr & !ones(self.output_bits) == 0 {
            Ok(())
        } else {
            Err(Errno::ENXIO)
        }
    }
}

/// What the entries for tables forbid to everything below them.
#[derive(Clone, Copy, Default)]
struct TableLimits {
    read_only: bool,
    no_user: bool,
    user_no_execute: bool,
    kernel_no_execute: bool,
}

impl TableLimits {
    fn add(&mut self, value: u64) {
        self.read_only |= value & TABLE_READ_ONLY != 0;
        self.no_user |= value & TABLE_NO_USER != 0;
        self.user_no_execute |= value & TABLE_USER_NO_EXECUTE != 0;
        self.kernel_no_execute |= value & TABLE_KERNEL_NO_EXECUTE != 0;
    }
}

/// The number with the lowest `bits` bits set.
fn ones(bits: u32) -> u64 {
    match 64u32.checked_sub(bits) {
        Some(unused) => u64::MAX.checked_shr(unused).unwrap_or(0),
        None => u64::MAX,
    }
}

/// `value` shifted right.
fn right(value: u64, bits: u32) -> u64 {
    value.checked_shr(bits).unwrap_or(0)
}

/// `len` bits of `value` from bit `first` on.
fn field(value: u64, first: u32, len: u32) -> u64 {
    right(value, first) & ones(len)
}
