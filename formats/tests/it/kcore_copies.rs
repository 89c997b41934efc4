// SPDX-License-Identifier: MIT OR Apache-2.0
//! Cores whose segments do not say where in physical memory they are, or hold nothing.

use crate::dialects::{Segment, core, load};
use linpmem_formats::{ImageReader, elf};
use linpmem_phys::{Content, PhysAddr, ReadPhys, Unreadables};

/// KASLR moved the direct map here.
const BASE: u64 = 0xffff_9a40_4000_0000;

/// The segments of /proc/kcore, as far as they are in a copy. Only `direct` are RAM.
fn kcore(paddr: u64) -> Vec<Segment> {
    let mapping = |vaddr, offset, len| Segment {
        vaddr,
        paddr,
        ..load(offset, 0, len)
    };
    vec![
        mapping(0xffff_ffff_8100_0000, 0x1000, 0x1000),
        // vmalloc, of which the copy has nothing: 32 TiB less one byte.
        mapping(0xffff_b5c0_0000_0000, 0x4000, (32 << 40) - 1),
        mapping(0xffff_ffff_c000_0000, 0x1000, 0x1000),
        mapping(BASE + 0x10_0000, 0x3000, 0x2000),
        mapping(BASE + 0x1000, 0x2000, 0x1000),
        // The array of page structures.
        mapping(0xffff_d600_0000_0000, 0x1000, 0x1000),
    ]
}

fn ranges(image: &dyn ImageReader) -> Vec<(u64, u64, bool)> {
    let ranges = image.ranges().iter();
    let is_data = |content| content == Content::Data;
    ranges
        .map(|stored| {
            let range = stored.range;
            (
                range.start().get(),
                range.len().get(),
                is_data(stored.content),
            )
        })
        .collect()
}

#[test]
fn a_copy_of_an_old_kcore_is_read_as_the_file_itself() {
    for paddr in [0, u64::MAX] {
        let image = elf::Reader::new(core(&kcore(paddr), 0x5000)).unwrap();
        let expected = [(0x1000, 0x1000, true), (0x10_0000, 0x2000, true)];
        assert_eq!(ranges(&image), expected, "{paddr:#x}");
        assert_eq!(image.machine().direct_map_base, Some(BASE));
        let said = image.warnings().join("\n");
        assert!(
            said.contains("inferred") && said.contains("0xffff9a4040000000"),
            "{said}"
        );
        let mut page = [0; 0x1000];
        let mut unreadable = Unreadables::new();
        let high = PhysAddr::new(0x10_1000);
        image.read_phys(high, &mut page, &mut unreadable).unwrap();
        assert!(unreadable.is_empty());
        assert_eq!((page[0], page[0xfff]), (0x40, 0x4f));
    }
}

#[test]
fn what_a_copy_lacks_is_missing_and_not_another_mapping() {
    let image = elf::Reader::new(core(&kcore(0), 0x4000)).unwrap();
    let expected = [
        (0x1000, 0x1000, true),
        (0x10_0000, 0x1000, true),
        (0x10_1000, 0x1000, false),
    ];
    assert_eq!(ranges(&image), expected);
    assert!(image.truncation().is_some());
}

#[test]
fn a_segment_that_is_at_address_0_is_not_moved() {
    let direct = |vaddr, paddr| Segment {
        vaddr,
        paddr,
        ..load(0x1000, 0, 0x1000)
    };
    let text = direct(0xffff_ffff_8100_0000, u64::MAX);
    for segments in [
        vec![direct(BASE, 0)],
        vec![direct(BASE, 0), text],
        vec![direct(0, 0)],
        vec![direct(0, 0), direct(0, 0)],
        vec![direct(0, 0), direct(BASE, 0)],
    ] {
        let image = elf::Reader::new(core(&segments, 0x2000)).unwrap();
        assert_eq!(ranges(&image), [(0, 0x1000, true)]);
        assert!(image.warnings().is_empty(), "{:?}", image.warnings());
    }
    // The only segment of RAM in a copy.
    let image = elf::Reader::new(core(&[direct(BASE + 0x1000, 0)], 0x2000)).unwrap();
    assert_eq!(ranges(&image), [(0x1000, 0x1000, true)]);
}

#[test]
fn a_core_without_any_addresses_is_refused_with_what_to_do() {
    let elsewhere = |vaddr, paddr, offset| Segment {
        vaddr,
        paddr,
        ..load(offset, 0, 0x1000)
    };
    for segments in [
        // A process, and a part of kcore that is not RAM.
        vec![
            elsewhere(0x40_0000, 0, 0x1000),
            elsewhere(0x7fff_0000_0000, 0, 0x2000),
        ],
        vec![elsewhere(0xffff_ffff_8100_0000, u64::MAX, 0x1000)],
        vec![
            elsewhere(0xffff_ffff_8100_0000, 0, 0x1000),
            elsewhere(0xffff_ffff_c000_0000, 0, 0x2000),
        ],
        // In the direct map's part of the addresses, but not whole pages.
        vec![elsewhere(BASE + 0x1001, u64::MAX, 0x1000)],
    ] {
        let error = elf::Reader::new(core(&segments, 0x3000)).unwrap_err();
        assert!(matches!(error, elf::Error::NoAddresses { .. }), "{error}");
        assert!(error.to_string().contains("linpmem-dump OUT"), "{error}");
    }
}

#[test]
fn a_segment_without_bytes_never_refuses_a_core() {
    let empty = |offset, paddr: u64, memsz| Segment {
        filesz: 0,
        memsz,
        ..load(offset, paddr, 0)
    };
    for segment in [
        empty(0, 0x9000, 0x1000),
        empty(0x1000_0000, 0x9000, 0x1000),
        empty(u64::MAX, 0x9000, 0x1000),
        empty(u64::MAX, 0, 0),
        empty(0, u64::MAX - 0xfff, u64::MAX),
        empty(u64::MAX, 0x2000, 0x1000),
        Segment {
            vaddr: 0,
            ..empty(u64::MAX, 0x9000, 0x1000)
        },
    ] {
        let place = (segment.offset, segment.paddr, segment.memsz);
        let full = load(0x1000, 0x2000, 0x1000);
        let base = full.vaddr - full.paddr;
        let image = elf::Reader::new(core(&[segment, full], 0x2000)).unwrap();
        let data: Vec<_> = ranges(&image).into_iter().filter(|found| found.2).collect();
        assert_eq!(data, [(0x2000, 0x1000, true)], "{place:x?}");
        assert_eq!(image.machine().direct_map_base, Some(base), "{place:x?}");
        assert_eq!(image.truncation(), None, "{place:x?}");
    }
}
