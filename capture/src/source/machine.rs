// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is known about a machine without the module: from VMCOREINFO
//! (kernel/vmcore_info.c, arch/x86/kernel/vmcore_info_64.c) and /proc/cpuinfo.

use super::vmcoreinfo;
use crate::kernel_page;
use linpmem_formats::MachineFacts;
use linpmem_kinfo::layout::Architecture;
use linpmem_kinfo::vmcoreinfo::Vmcoreinfo;
use linpmem_manifest::{Address, MachineRecord};
use std::fs;

/// The facts in `note`, the text of VMCOREINFO, and those of this machine.
pub(super) fn facts(
    note: Option<Vec<u8>>,
    direct_map_base: Option<u64>,
) -> (MachineFacts, MachineRecord) {
    let record = MachineRecord {
        phys_bits: fs::read_to_string("/proc/cpuinfo")
            .ok()
            .as_deref()
            .and_then(phys_bits),
        direct_map_base: direct_map_base.map(Address),
        ..record(note.as_deref())
    };
    let facts = MachineFacts {
        architecture: architecture(note.as_deref()),
        vmcoreinfo: note,
        direct_map_base,
        paging_levels: record.paging_levels,
        ..MachineFacts::default()
    };
    (facts, record)
}

/// The architecture of the kernel with this VMCOREINFO, or else of the running one.
pub(super) fn architecture(note: Option<&[u8]>) -> Option<Architecture> {
    note.and_then(|note| Vmcoreinfo::new(note).architecture())
        .or_else(|| Architecture::from_name(&rustix::system::uname().machine().to_string_lossy()))
}

/// What VMCOREINFO says, and the kind of this machine.
pub(super) fn record(note: Option<&[u8]>) -> MachineRecord {
    let info = note.map(Vmcoreinfo::new);
    let page_bytes = info.and_then(Vmcoreinfo::page_size);
    MachineRecord {
        architecture: architecture(note).map(|known| known.name().to_owned()),
        page_bytes: page_bytes.or_else(|| Some(kernel_page::size().get())),
        va_bits: info.and_then(Vmcoreinfo::va_bits),
        pointer_auth_mask: info.and_then(Vmcoreinfo::pointer_auth_mask).map(Address),
        paging_levels: info.and_then(Vmcoreinfo::paging_levels),
        kernel_page_table: info
            .and_then(Vmcoreinfo::kernel_page_table)
            .map(Address::from),
        kaslr_offset: info.and_then(Vmcoreinfo::kaslr_offset).map(Address),
        vmcoreinfo: note.map(vmcoreinfo::record),
        ..MachineRecord::default()
    }
}

/// `address sizes : 46 bits physical, 48 bits virtual`.
fn phys_bits(cpuinfo: &str) -> Option<u32> {
    let line = cpuinfo
        .lines()
        .find(|line| line.starts_with("address sizes"))?;
    let (_, sizes) = line.split_once(':')?;
    sizes.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_facts_in_vmcoreinfo_are_found() {
        let note = "OSRELEASE=6.12.1\nSYMBOL(swapper_pg_dir)=ffffffff9ec36000\n\
                    NUMBER(phys_base)=-469762048\nNUMBER(pgtable_l5_enabled)=1\n\
                    KERNELOFFSET=1c000000\n";
        let (facts, record) = facts(Some(note.into()), Some(0xff11_0000_0000_0000));
        assert_eq!(facts.paging_levels, Some(5));
        assert_eq!(record.kaslr_offset, Some(Address(0x1c00_0000)));
        assert_eq!(record.kernel_page_table, Some(Address(0x2c3_6000)));
        assert_eq!(record.direct_map_base, Some(Address(0xff11_0000_0000_0000)));
        assert_eq!(
            record.vmcoreinfo.unwrap().release.as_deref(),
            Some("6.12.1")
        );
        assert_eq!(
            phys_bits("x\naddress sizes\t: 46 bits physical, 57\n"),
            Some(46)
        );
    }

    #[test]
    fn nothing_is_made_up() {
        let (facts, record) = facts(None, None);
        let this = MachineFacts {
            architecture: architecture(None),
            ..MachineFacts::default()
        };
        assert_eq!(facts, this);
        assert_eq!(record.kernel_page_table, None);
        for note in [
            "NUMBER(phys_base)=x\nSYMBOL(swapper_pg_dir)=1\n",
            "KERNELOFFSET=",
        ] {
            let (_, record) = super::facts(Some(note.into()), None);
            assert_eq!(
                (record.kernel_page_table, record.kaslr_offset),
                (None, None)
            );
        }
    }
}
