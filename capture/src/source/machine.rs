// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is known about a machine without the module: from VMCOREINFO
//! (kernel/vmcore_info.c, arch/x86/kernel/vmcore_info_64.c) and /proc/cpuinfo.

use super::vmcoreinfo;
use crate::kernel_page;
use linpmem_formats::MachineFacts;
use linpmem_kinfo::layout::Architecture;
use linpmem_kinfo::vmcoreinfo::Vmcoreinfo;
use linpmem_manifest::{Address, MachineRecord};
use linpmem_phys::PhysRange;
use std::fs;

/// The facts in `note`, the text of VMCOREINFO, and those of this machine.
pub(super) fn facts(
    note: Option<Vec<u8>>,
    direct_map_base: Option<u64>,
    image_end: Option<u64>,
) -> (MachineFacts, MachineRecord) {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let record = MachineRecord {
        phys_bits: phys_bits(&cpuinfo),
        direct_map_base: direct_map_base.map(Address),
        ..record(note.as_deref())
    };
    let facts = MachineFacts {
        architecture: architecture(note.as_deref()),
        vmcoreinfo: note,
        image_end,
        direct_map_base,
        paging_levels: record.paging_levels,
        ..MachineFacts::default()
    };
    (facts, record)
}

/// The virtual address after the kernel's image, which ends with its data, where VMCOREINFO
/// tells what it adds to a physical address.
pub(super) fn image_end(note: Option<&[u8]>, kernel_data: Option<PhysRange>) -> Option<u64> {
    let offset = Vmcoreinfo::new(note?).kimage_voffset()?;
    kernel_data?.end().get().checked_add(offset)
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
        cpu_features: fs::read_to_string("/proc/cpuinfo")
            .map(|cpuinfo| cpu_features(&cpuinfo))
            .unwrap_or_default(),
        vmcoreinfo: note.map(vmcoreinfo::record),
        ..MachineRecord::default()
    }
}

/// The features of arm64 that concern memory, by the names of its `HWCAP` bits: tags of
/// memory, and pointers that are signed by address or by other data.
const CPU_FEATURES: [&str; 3] = ["mte", "paca", "pacg"];

/// Those of [`CPU_FEATURES`] that the processors have: `Features : fp asimd … paca pacg mte`.
fn cpu_features(cpuinfo: &str) -> Vec<String> {
    let named = |line: &str| {
        line.split_once(':')
            .map(|(name, _)| name.trim() == "Features")
    };
    let features = cpuinfo.lines().find(|line| named(line) == Some(true));
    let words = features.into_iter().flat_map(str::split_ascii_whitespace);
    words
        .filter(|word| CPU_FEATURES.contains(word))
        .map(str::to_owned)
        .collect()
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
    use linpmem_phys::PhysAddr;

    #[test]
    fn the_facts_in_vmcoreinfo_are_found() {
        let note = "OSRELEASE=6.12.1\nSYMBOL(swapper_pg_dir)=ffffffff9ec36000\n\
                    NUMBER(phys_base)=-469762048\nNUMBER(pgtable_l5_enabled)=1\n\
                    KERNELOFFSET=1c000000\n";
        let (facts, record) = facts(Some(note.into()), Some(0xff11_0000_0000_0000), None);
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
    fn arm64_machines_are_described() {
        let note = "OSRELEASE=7.3.4\nPAGESIZE=16384\nNUMBER(VA_BITS)=52\n\
                    NUMBER(TCR_EL1_T1SZ)=0x10\nNUMBER(kimage_voffset)=0xffff800040000000\n\
                    SYMBOL(swapper_pg_dir)=ffff800081a34000\n\
                    NUMBER(KERNELPACMASK)=0x7f000000000000\n";
        let base = 0xfffe_ffff_c000_0000;
        let data = PhysRange::new(PhysAddr::new(0x4240_0000), PhysAddr::new(0x42a3_0000));
        let end = image_end(Some(note.as_bytes()), data.ok());
        assert_eq!(end, Some(0xffff_8000_82a3_0000));
        assert_eq!(image_end(Some(b"NUMBER(phys_base)=0\n"), data.ok()), None);
        let (facts, record) = facts(Some(note.into()), Some(base), end);
        assert_eq!(facts.image_end, end);
        assert_eq!(facts.architecture, Some(Architecture::Aarch64));
        assert_eq!((facts.paging_levels, record.va_bits), (Some(4), Some(48)));
        assert_eq!(record.architecture.as_deref(), Some("aarch64"));
        assert_eq!(record.page_bytes, Some(16384));
        assert_eq!(record.kernel_page_table, Some(Address(0x41a3_4000)));
        assert_eq!(record.pointer_auth_mask, Some(Address(0x7f_0000_0000_0000)));
        assert_eq!(record.direct_map_base, Some(Address(base)));
        let cpuinfo = "processor\t: 0\nFeatures\t: fp asimd paca pacg sve mte mte3\nCPU part : 1\n";
        assert_eq!(cpu_features(cpuinfo), ["paca", "pacg", "mte"]);
        assert_eq!(cpu_features("flags : mte\nmodel : x\n"), [""; 0]);
    }

    #[test]
    fn nothing_is_made_up() {
        let (facts, record) = facts(None, None, None);
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
            let (_, record) = super::facts(Some(note.into()), None, None);
            assert_eq!(
                (record.kernel_page_table, record.kaslr_offset),
                (None, None)
            );
        }
    }
}
