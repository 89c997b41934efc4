// SPDX-License-Identifier: MIT OR Apache-2.0

use super::*;
use RegionKind::{
    AcpiNonVolatile, AcpiTables, Device, PersistentMemory, Reserved, Rom, SoftReserved, SystemRam,
    Unusable,
};

fn flat(text: &str) -> Vec<(u64, u64, RegionKind)> {
    Iomem::parse(text.to_owned())
        .unwrap()
        .map
        .regions()
        .iter()
        .map(|region| {
            let range = region.range;
            (range.start().get(), range.last().get(), region.kind)
        })
        .collect()
}

#[test]
fn what_the_kernel_nests_in_ram_stays_ram() {
    assert_eq!(
        flat(include_str!("../../../testdata/iomem/pc-512m.txt")),
        [
            (0, 0xfff, Reserved),
            (0x1000, 0x9_fbff, SystemRam),
            (0x9_fc00, 0x9_ffff, Reserved),
            (0xa_0000, 0xb_ffff, Device),
            (0xc_0000, 0xc_99ff, Rom),
            (0xc_a000, 0xc_adff, Rom),
            (0xf_0000, 0xf_ffff, Rom),
            (0x10_0000, 0x1ffd_ffff, SystemRam),
            (0x1ffe_0000, 0x1fff_ffff, Reserved),
            // Devices that touch are one region.
            (0x2000_0000, 0xfec0_03ff, Device),
            (0xfed0_0000, 0xfed0_03ff, Device),
            (0xfee0_0000, 0xfee0_0fff, Device),
            (0xfffc_0000, 0xffff_ffff, Reserved),
        ]
    );
}

#[test]
fn crash_kernel_reserved_and_ramoops_within_ram_are_ram_and_4_gib_is_not_a_border() {
    assert_eq!(
        flat(include_str!("../../../testdata/iomem/above-4g.txt")),
        [
            (0, 0xfff, Reserved),
            (0x1000, 0x9_ffff, SystemRam),
            (0xf_0000, 0xf_ffff, Rom),
            (0x10_0000, 0xbffd_cfff, SystemRam),
            (0xbffd_d000, 0xbfff_ffff, Reserved),
            (0xc000_0000, 0xfec0_03ff, Device),
            (0xfffc_0000, 0xffff_ffff, Reserved),
            (0x1_0000_0000, 0x2_3f5f_fbff, SystemRam),
            (0x2_3f5f_fc00, 0x2_3fff_ffff, Reserved),
            (0x3800_0000_0000, 0x57ff_ffff_ffff, Device),
        ]
    );
}

#[test]
fn registers_within_or_around_reserved_stay_devices() {
    assert_eq!(
        flat(include_str!("../../../testdata/iomem/firmware.txt")),
        [
            (0, 0xfff, Reserved),
            (0x1000, 0x9_e7ff, SystemRam),
            (0x9_e800, 0x9_ffff, Reserved),
            // A ROM within a bus window is read through that bus.
            (0xa_0000, 0xd_ffff, Device),
            (0xf_0000, 0xf_ffff, Rom),
            (0x10_0000, 0x69c6_cfff, SystemRam),
            (0x69c6_d000, 0x6c6d_2fff, Reserved),
            (0x6c6d_3000, 0x6cdd_3fff, AcpiNonVolatile),
            (0x6cdd_4000, 0x6ce4_efff, AcpiTables),
            (0x6ce4_f000, 0x6ce4_ffff, SystemRam),
            (0x6ce5_0000, 0x6ce5_0fff, Unusable),
            (0x6ce5_1000, 0x6fff_ffff, Reserved),
            (0x7000_0000, 0x7fff_ffff, SoftReserved),
            (0x8000_0000, 0xfbff_bfff, Device),
            (0xfec0_0000, 0xfec0_03ff, Device),
            (0xfed0_0000, 0xfed0_03ff, Device),
            (0xfed0_0400, 0xfed0_0fff, Reserved),
            (0xfed1_c000, 0xfed1_ffff, Device),
            (0xfed2_0000, 0xfed4_4fff, Reserved),
            (0xfee0_0000, 0xfee0_0fff, Device),
            (0x1_0000_0000, 0x10_4fff_ffff, SystemRam),
            // Only the namespace is a device: a name that the kernel's drivers gave.
            (0x10_5000_0000, 0x11_dfff_ffff, Device),
        ]
    );
}

#[test]
fn ram_nested_under_other_resources_is_ram() {
    assert_eq!(
        flat(include_str!("../../../testdata/iomem/virtio-mem.txt")),
        [
            (0, 0xfff, Reserved),
            (0x1000, 0x9_fbff, SystemRam),
            (0x10_0000, 0x7fff_ffff, SystemRam),
            // RAM that was there at boot, and what virtio-mem added right above it.
            (0x1_0000_0000, 0x1_8fff_ffff, SystemRam),
            (0x1_9000_0000, 0x1_9fff_ffff, Device),
            (0x1_a000_0000, 0x1_a7ff_ffff, SystemRam),
            (0x1_a800_0000, 0x2_87ff_ffff, Device),
            (0x2_8800_0000, 0x3_3fff_ffff, SystemRam),
        ]
    );
}

#[test]
fn the_fabric_below_1_tib_is_a_device_unless_it_is_ram() {
    let ram = "00100000-1fffffff : System RAM\n";
    assert_eq!(
        flat(&format!("{ram}fc00000000-100ffffffff : Reserved\n"))[1..],
        [
            (0xfc_0000_0000, 0xfc_ffff_ffff, Reserved),
            (0xfd_0000_0000, 0xff_ffff_ffff, Device),
            (0x100_0000_0000, 0x100_ffff_ffff, Reserved),
        ]
    );
    assert_eq!(
        flat(&format!("{ram}fd00000000-ffffffffff : Reserved\n"))[1..],
        [(0xfd_0000_0000, 0xff_ffff_ffff, Device)]
    );
    assert_eq!(
        flat(&format!("{ram}1000000000-1ffffffffff : System RAM\n"))[1..],
        [(0x10_0000_0000, 0x1ff_ffff_ffff, SystemRam)]
    );
}

#[test]
fn persistent_memory_without_a_driver_keeps_its_kind() {
    let text = "00100000-1fffffff : System RAM\n20000000-2fffffff : Persistent Memory (legacy)\n";
    assert_eq!(flat(text)[1].2, PersistentMemory);
}

#[test]
fn hidden_addresses_are_an_error_that_says_what_to_do() {
    let text = include_str!("../../../testdata/iomem/unprivileged.txt");
    let error = Iomem::parse(text.to_owned()).unwrap_err();
    assert!(matches!(error, IomemError::Text(IomemTextError::Hidden)));
    assert!(error.to_string().contains("run as root"), "{error}");
}

#[test]
fn odd_texts_are_errors_or_cut_to_a_tree() {
    let parse = |text: &str| Iomem::parse(text.to_owned());
    assert!(matches!(parse("\n"), Err(IomemError::Empty)));
    let none = parse("00000000-00000fff : Reserved\n");
    assert!(matches!(none, Err(IomemError::NoRam)));
    for odd in [
        "nonsense",
        "1000 : System RAM",
        "00002000-00000fff : System RAM",
    ] {
        assert!(matches!(
            Iomem::parse(odd.to_owned()),
            Err(IomemError::NoRam)
        ));
        let text = format!("{odd}\n00003000-00003fff : System RAM\n");
        let iomem = Iomem::parse(text).unwrap();
        assert_eq!(iomem.map.ram().count(), 1);
        assert_eq!(iomem.warnings.len(), 1);
        assert!(iomem.warnings[0].contains(odd), "{:?}", iomem.warnings);
    }
    // A child beyond its parent, a sibling that overlaps, a jump in depth, the
    // last address there is, and a resource of no bytes.
    assert_eq!(
        flat(
            "00001000-00001fff : System RAM\n      00000000-00002fff : Reserved\n\
             00001800-00003fff : Reserved\n00005000-00004fff : none\n\
             00005000-ffffffffffffffff : PCI mem\n"
        ),
        [
            (0x1000, 0x1fff, SystemRam),
            (0x2000, 0x3fff, Reserved),
            (0x5000, u64::MAX - 1, Device),
        ]
    );
}

/// As in QEMU's machine `virt` with UEFI, and with a crash kernel.
const ARM64: &str = "\
00000000-03ffffff : 0.flash flash@0
09000000-09000fff : pl011@9000000
  09000000-09000fff : 9000000.pl011 pl011@9000000
40000000-5858ffff : System RAM
  40200000-41ffffff : Kernel code
  42000000-423fffff : reserved
  42400000-42a2ffff : Kernel data
  4a000000-51ffffff : Crash kernel
  53000000-530cffff : reserved
58590000-585effff : reserved
585f0000-5fffffff : System RAM
  5f000000-5f00ffff : reserved
10000000000-1000001ffff : pcie@10000000
";

#[test]
fn reserved_memory_of_arm64_is_ram_where_the_kernel_maps_it() {
    let iomem = Iomem::parse(ARM64.to_owned()).unwrap();
    assert_eq!(
        flat(ARM64),
        [
            (0, 0x3ff_ffff, Device),
            (0x900_0000, 0x900_0fff, Device),
            (0x4000_0000, 0x5858_ffff, SystemRam),
            (0x5859_0000, 0x585e_ffff, Reserved),
            (0x585f_0000, 0x5fff_ffff, SystemRam),
            (0x100_0000_0000, 0x100_0001_ffff, Device),
        ]
    );
    assert_eq!(
        iomem.kernel_data.unwrap().to_string(),
        "0x42400000-0x42a2ffff"
    );
    assert_eq!(iomem.crash_kernel.len(), 1);
    assert_eq!(iomem.crash_kernel[0].to_string(), "0x4a000000-0x51ffffff");
}
