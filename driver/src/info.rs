// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the module says about itself and the machine.

use crate::{Architecture, Features, InfoError};
use linpmem_core::abi;
use linpmem_phys::{PhysAddr, PhysRange};
use std::fmt;

/// What the module says about itself and the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Info {
    /// Version of the module's ABI.
    pub abi_version: u32,
    /// Version of the module itself.
    pub module_version: Version,
    /// What the module can do.
    pub features: Features,
    /// The machine's architecture.
    pub architecture: Architecture,
    /// Bits of a physical address.
    pub phys_bits: u32,
    /// Levels of the page tables, 4 or 5; on arm64 those of user space, 2 to 5.
    pub paging_levels: u32,
    /// Virtual address of physical address 0 in the kernel's direct map; on arm64 it can be
    /// outside, so that addition wraps.
    pub page_offset_base: u64,
    /// Where the mapping of the kernel's image begins in physical memory; can be
    /// negative. On arm64 the physical address that virtual address 0 would have in it:
    /// −`kimage_voffset`.
    pub phys_base: i64,
    /// How far KASLR moved the kernel's text, if known.
    pub kaslr_offset: Option<u64>,
    /// The kernel's own top page table (TTBR1 on arm64), if known.
    pub kernel_page_table: Option<PhysAddr>,
    /// The physical addresses of the VMCOREINFO note, header and padding included.
    pub vmcoreinfo: Option<PhysRange>,
    /// The page-table bit that marks encrypted memory, or 0.
    pub encryption_mask: u64,
}

/// A module's version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(u32);

impl Info {
    /// Checks and converts a device's answer.
    pub(crate) fn from_abi(raw: &abi::Info) -> Result<Self, InfoError> {
        let known = |value: u64| (value != abi::UNKNOWN).then_some(value);
        if raw.abi_version == 0 {
            return Err(InfoError::NotLinpmem);
        }
        let architecture = Architecture::from_abi(raw.architecture)
            .ok_or(InfoError::UnknownArchitecture(raw.architecture))?;
        if !(32..=52).contains(&raw.phys_bits) || !architecture.has_levels(raw.paging_levels) {
            return Err(InfoError::Implausible {
                architecture,
                phys_bits: raw.phys_bits,
                paging_levels: raw.paging_levels,
            });
        }
        let note = PhysRange::from_len(
            PhysAddr::new(raw.vmcoreinfo_addr),
            linpmem_phys::PhysLen::new(raw.vmcoreinfo_len),
        );
        Ok(Self {
            abi_version: raw.abi_version,
            module_version: Version(raw.module_version),
            features: Features::new(raw.features),
            architecture,
            phys_bits: raw.phys_bits,
            paging_levels: raw.paging_levels,
            page_offset_base: raw.page_offset_base,
            phys_base: i64::from_ne_bytes(raw.phys_base.to_ne_bytes()),
            kaslr_offset: known(raw.kaslr_offset),
            kernel_page_table: known(raw.kernel_page_table).map(PhysAddr::new),
            vmcoreinfo: note.ok().filter(|note| note.start() != PhysAddr::ZERO),
            encryption_mask: raw.encryption_mask,
        })
    }
}

impl Version {
    /// 8 bits major, 8 bits minor, 16 bits patch.
    #[must_use]
    pub const fn packed(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(packed) = self;
        write!(
            f,
            "{}.{}.{}",
            packed >> 24,
            (packed >> 16) & 0xff,
            packed & 0xffff
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw() -> abi::Info {
        abi::Info {
            abi_version: 1,
            module_version: 0x0102_0003,
            phys_bits: 46,
            paging_levels: 5,
            phys_base: u64::MAX - 4095,
            kaslr_offset: abi::UNKNOWN,
            kernel_page_table: 0x1000,
            vmcoreinfo_addr: 0x2000,
            vmcoreinfo_len: 4096,
            ..abi::Info::default()
        }
    }

    #[test]
    fn unknown_is_none_and_signs_survive() {
        let info = Info::from_abi(&raw()).unwrap();
        assert_eq!(info.kaslr_offset, None);
        assert_eq!(info.kernel_page_table, Some(PhysAddr::new(0x1000)));
        assert_eq!(info.phys_base, -4096);
        assert_eq!(info.vmcoreinfo.unwrap().to_string(), "0x2000-0x2fff");
        assert_eq!(info.module_version.to_string(), "1.2.3");
    }

    #[test]
    fn the_architecture_decides_what_is_plausible() {
        assert_eq!(
            Info::from_abi(&raw()).unwrap().architecture,
            Architecture::X86_64
        );
        let mut arm = raw();
        arm.architecture = abi::ARCHITECTURE_ARM64;
        arm.paging_levels = 3;
        let info = Info::from_abi(&arm).unwrap();
        assert_eq!(info.architecture, Architecture::Arm64);
        arm.paging_levels = 1;
        let error = Info::from_abi(&arm).unwrap_err().to_string();
        assert!(error.contains("aarch64"), "{error}");
        arm.architecture = 2;
        assert!(matches!(
            Info::from_abi(&arm),
            Err(InfoError::UnknownArchitecture(2))
        ));
    }

    #[test]
    fn an_answer_that_cannot_be_true_is_refused() {
        let mut odd = raw();
        odd.phys_bits = 64;
        assert!(matches!(
            Info::from_abi(&odd),
            Err(InfoError::Implausible { phys_bits: 64, .. })
        ));
        let mut flat = raw();
        flat.paging_levels = 3;
        assert!(matches!(
            Info::from_abi(&flat),
            Err(InfoError::Implausible {
                paging_levels: 3,
                ..
            })
        ));
        odd.abi_version = 0;
        assert!(matches!(Info::from_abi(&odd), Err(InfoError::NotLinpmem)));
    }
}
