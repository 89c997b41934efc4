// SPDX-License-Identifier: MIT OR Apache-2.0
//! The architecture of the machine that the module runs on.

use linpmem_core::abi;
use std::fmt;

/// An architecture that the module is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Architecture {
    /// x86-64.
    X86_64,
    /// arm64.
    Arm64,
}

impl Architecture {
    /// The one that INFO names.
    pub(crate) const fn from_abi(number: u32) -> Option<Self> {
        match number {
            abi::ARCHITECTURE_X86_64 => Some(Self::X86_64),
            abi::ARCHITECTURE_ARM64 => Some(Self::Arm64),
            _ => None,
        }
    }

    /// As `uname -m` prints it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Arm64 => "aarch64",
        }
    }

    /// The register with the address of a process's top page table.
    #[must_use]
    pub const fn process_register(self) -> &'static str {
        match self {
            Self::X86_64 => "CR3",
            Self::Arm64 => "TTBR0",
        }
    }

    /// The register with that of the table that translates `virt`. On arm64 bit 55 of an
    /// address chooses.
    #[must_use]
    pub const fn register_for(self, virt: u64) -> &'static str {
        match self {
            Self::Arm64 if virt & 1 << 55 != 0 => "TTBR1",
            Self::X86_64 | Self::Arm64 => self.process_register(),
        }
    }

    /// Whether a machine can have so many levels of page tables.
    pub(crate) const fn has_levels(self, levels: u32) -> bool {
        let fewest = match self {
            Self::X86_64 => 4,
            Self::Arm64 => 2,
        };
        fewest <= levels && levels <= 5
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_named_by_their_register() {
        let (low, high) = (0x1000, 0xffff_8000_0000_0000);
        let arm64 = Architecture::Arm64;
        assert_eq!(arm64.register_for(low), "TTBR0");
        assert_eq!(arm64.register_for(high), "TTBR1");
        // A tag above bit 55 does not choose.
        assert_eq!(arm64.register_for(0xb400_0000_0000_1000), "TTBR0");
        for virt in [low, high] {
            assert_eq!(Architecture::X86_64.register_for(virt), "CR3");
        }
    }
}
