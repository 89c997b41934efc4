// SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0
//! What the registers TCR_EL1 and TTBR1_EL1 say about the tables (Arm ARM, D24.2).

use super::super::super::Errno;
use super::{field, ones, Paging};

/// The size of the smallest page, and of all tables but the top one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Granule {
    /// 4 KiB.
    Kib4,
    /// 16 KiB.
    Kib16,
    /// 64 KiB.
    Kib64,
}

/// One half of the address space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Half {
    /// The granule of its tables.
    pub granule: Granule,
    /// Bits of a virtual address that the tables translate: 64 − TxSZ.
    pub va_bits: u32,
    /// Whether the highest eight bits of an address are ignored (TCR.TBI).
    pub ignores_top_byte: bool,
    /// Whether entries for tables limit what is below them (not TCR.HPD).
    pub has_table_limits: bool,
}

/// What the kernel knows that the core cannot read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registers {
    /// `TCR_EL1`.
    pub tcr: u64,
    /// `TTBR1_EL1`.
    pub ttbr1: u64,
    /// Whether permission indirection is on (FEAT_S1PIE).
    pub indirect_rights: bool,
    /// The bits of an invalid entry by which this kernel says that it still maps the page
    /// (`PTE_PRESENT_INVALID`).
    pub hidden: u64,
}

impl Granule {
    /// Bits of an address within a page.
    #[must_use]
    pub const fn bits(self) -> u32 {
        match self {
            Self::Kib4 => 12,
            Self::Kib16 => 14,
            Self::Kib64 => 16,
        }
    }

    /// Bits of an address that a whole table translates.
    #[must_use]
    pub const fn index_bits(self) -> u32 {
        self.bits() - 3
    }

    /// Bits of an address within what an entry of a table of this depth maps.
    #[must_use]
    pub const fn shift(self, depth: u32) -> u32 {
        depth
            .saturating_sub(1)
            .saturating_mul(self.index_bits())
            .saturating_add(self.bits())
    }
}

impl Half {
    /// How many levels of tables there are: at most 5.
    #[must_use]
    pub const fn levels(&self) -> u32 {
        self.va_bits
            .saturating_sub(self.granule.bits())
            .div_ceil(self.granule.index_bits())
    }

    /// Bits of an address within the top table, which can be smaller than a page: below them
    /// its own address is zero.
    #[must_use]
    pub const fn root_bits(&self) -> u32 {
        let above = self.granule.shift(self.levels());
        self.va_bits.saturating_sub(above).saturating_add(3)
    }
}

impl Paging {
    /// How a machine with these registers translates addresses.
    ///
    /// # Errors
    /// `EOPNOTSUPP` for values that the manual reserves, and for 56-bit addresses.
    pub fn of_registers(registers: &Registers) -> Result<Self, Errno> {
        let &Registers {
            tcr,
            ttbr1,
            indirect_rights,
            hidden,
        } = registers;
        let flag = |bit| field(tcr, bit, 1) != 0;
        let wide_entries = flag(59);
        let lower = Half {
            granule: match field(tcr, 14, 2) {
                0 => Granule::Kib4,
                1 => Granule::Kib64,
                2 => Granule::Kib16,
                _ => return Err(Errno::EOPNOTSUPP),
            },
            va_bits: va_bits(tcr, 0)?,
            ignores_top_byte: flag(37),
            has_table_limits: !flag(41) && !indirect_rights,
        };
        let upper = Half {
            granule: match field(tcr, 30, 2) {
                1 => Granule::Kib16,
                2 => Granule::Kib4,
                3 => Granule::Kib64,
                _ => return Err(Errno::EOPNOTSUPP),
            },
            va_bits: va_bits(tcr, 16)?,
            ignores_top_byte: flag(38),
            has_table_limits: !flag(42) && !indirect_rights,
        };
        for half in [&lower, &upper] {
            let longest = match half.granule {
                Granule::Kib64 => 52,
                Granule::Kib4 | Granule::Kib16 if wide_entries => 52,
                Granule::Kib4 | Granule::Kib16 => 48,
            };
            if half.va_bits > longest || half.va_bits <= half.granule.bits() {
                return Err(Errno::EOPNOTSUPP);
            }
        }
        let has_wide_output = wide_entries || lower.granule == Granule::Kib64;
        let output_bits = match field(tcr, 32, 3) {
            0 => 32,
            1 => 36,
            2 => 40,
            3 => 42,
            4 => 44,
            6 if has_wide_output => 52,
            5 | 6 => 48,
            _ => return Err(Errno::EOPNOTSUPP),
        };
        Ok(Self {
            lower,
            upper,
            output_bits,
            wide_entries,
            manages_dirty: flag(40),
            indirect_rights,
            hidden,
            kernel_root: base(ttbr1, output_bits),
        })
    }
}

/// Bits of the virtual addresses of the half whose TxSZ begins at bit `first`.
fn va_bits(tcr: u64, first: u32) -> Result<u32, Errno> {
    let size = u32::try_from(field(tcr, first, 6)).map_err(|_| Errno::EOPNOTSUPP)?;
    // 48 with FEAT_TTST, and 12 with 52-bit addresses.
    match size {
        12..=48 => Ok(64 - size),
        _ => Err(Errno::EOPNOTSUPP),
    }
}

/// The table's address in a TTBR: without ASID and CnP, and with the highest four bits of a
/// 52-bit address, which are at its lower end.
fn base(ttbr: u64, output_bits: u32) -> u64 {
    if output_bits > 48 {
        ttbr & ones(48) & !ones(6) | field(ttbr, 2, 4) << 48
    } else {
        ttbr & ones(48) & !ones(1)
    }
}
