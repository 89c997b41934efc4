// SPDX-License-Identifier: MIT OR Apache-2.0

use super::*;
use linpmem_phys::Region;

const BASE: u64 = 0xffff_9a40_4000_0000;
const DATA: u64 = 0x3000;

fn load(vaddr: u64, paddr: u64, len: u64) -> ProgramHeader {
    ProgramHeader {
        p_type: PT_LOAD,
        p_vaddr: vaddr,
        p_paddr: paddr,
        // As the kernel does on x86: the address within the upper half.
        p_offset: (vaddr & 0x7fff_ffff_ffff) + DATA,
        p_filesz: len,
        p_memsz: len,
        ..ProgramHeader::default()
    }
}

/// A machine with 2 GiB on both sides of a hole, as a kernel lists it whose
/// `p_paddr` are right.
fn machine() -> Vec<ProgramHeader> {
    let direct = |paddr: u64, len| load(BASE + paddr, paddr, len);
    vec![
        ProgramHeader::default(),
        load(KERNEL_TEXT + 0x1c00_0000, 0x2c00_0000, 0x0300_0000),
        load(0xffff_b5c0_0000_0000, u64::MAX, 32 << 40),
        load(0xffff_ffff_c000_0000, u64::MAX, 0x3f00_0000),
        direct(0x1000, 0x9e000),
        load(0xffff_d600_0000_0000, u64::MAX, 1 << 20),
        direct(0x10_0000, 0x3fef_d000),
        direct(0x1_0000_0000, 0x4000_0000),
    ]
}

fn iomem() -> MemoryMap {
    let ram = |first, last| Region {
        range: PhysRange::from_inclusive(PhysAddr::new(first), PhysAddr::new(last)).unwrap(),
        kind: RegionKind::SystemRam,
    };
    MemoryMap::new([
        // Ends within a page, and the next one a byte before the segment's end.
        ram(0x1000, 0x9_fbff),
        ram(0x10_0000, 0x3fff_cfff),
        ram(0x1_0000_0000, 0x1_3fff_ffff),
    ])
    .unwrap()
}

fn found(layout: &Layout) -> Vec<(u64, u64)> {
    let segments = layout.segments.iter();
    segments
        .map(|segment| {
            let range = segment.range;
            assert_eq!(
                segment.offset,
                ((BASE + range.start().get()) & 0x7fff_ffff_ffff) + DATA
            );
            (range.start().get(), range.last().get())
        })
        .collect()
}

const RAM: [(u64, u64); 3] = [
    (0x1000, 0x9_efff),
    (0x10_0000, 0x3fff_cfff),
    (0x1_0000_0000, 0x1_3fff_ffff),
];

#[test]
fn only_the_direct_map_is_taken() {
    let layout = Layout::of(&machine(), &iomem()).unwrap();
    assert_eq!(layout.direct_map_base(), BASE);
    assert!(!layout.is_base_inferred());
    assert_eq!(found(&layout), RAM);
}

#[test]
fn without_physical_addresses_the_base_is_the_lowest_segments() {
    for nothing in [0, u64::MAX] {
        let mut headers = machine();
        for header in &mut headers {
            header.p_paddr = nothing;
        }
        let layout = Layout::of(&headers, &iomem()).unwrap();
        assert_eq!(layout.direct_map_base(), BASE);
        assert!(layout.is_base_inferred());
        assert_eq!(found(&layout), RAM, "{nothing:#x}");
    }
}

#[test]
fn a_segment_that_contradicts_the_others_is_left_out() {
    let mut headers = machine();
    headers[4].p_paddr = 0x20_0000;
    let layout = Layout::of(&headers, &iomem()).unwrap();
    assert_eq!(found(&layout), RAM[1..]);
}

#[test]
fn what_two_segments_hold_is_taken_once() {
    let mut headers = machine();
    headers.push(load(BASE + 0x1000_0000, 0x1000_0000, 0x1000_0000));
    headers.push(load(BASE + 0x8_0000, 0x8_0000, 0x10_0000));
    let layout = Layout::of(&headers, &iomem()).unwrap();
    let mut next = 0;
    for (first, last) in found(&layout) {
        assert!(first >= next);
        next = last + 1;
    }
    let all = PhysRange::new(PhysAddr::new(0xf_0000), PhysAddr::new(0x20_0000)).unwrap();
    let (part, offset) = layout.first_within(all).unwrap();
    assert_eq!(part.start(), all.start());
    assert_eq!(offset, ((BASE + 0xf_0000) & 0x7fff_ffff_ffff) + DATA);
}

#[test]
fn a_file_without_a_direct_map_is_refused() {
    assert!(Layout::of(&[], &iomem()).is_err());
    let others: Vec<_> = machine().drain(..4).collect();
    let error = Layout::of(&others, &iomem()).unwrap_err();
    assert!(error.to_string().contains("3 segments"), "{error}");
    // Lengths and addresses that no file of a kernel has.
    for (vaddr, paddr, len) in [
        (BASE, 0x1000, u64::MAX),
        (u64::MAX, 1, 1),
        (BASE + 0x1000, BASE + 0x2000, 0x1000),
    ] {
        assert!(Layout::of(&[load(vaddr, paddr, len)], &iomem()).is_err());
    }
}

#[test]
fn parts_are_found_by_address() {
    let layout = Layout::of(&machine(), &iomem()).unwrap();
    let range = |start, end| PhysRange::new(PhysAddr::new(start), PhysAddr::new(end)).unwrap();
    let at = |start, end| layout.first_within(range(start, end)).map(|(part, _)| part);
    assert_eq!(at(0, 0x2000), Some(range(0x1000, 0x2000)));
    assert_eq!(at(0x9_e000, 0x11_0000), Some(range(0x9_e000, 0x9_f000)));
    assert_eq!(at(0x9_f000, 0x10_0000), None);
    assert_eq!(at(0x2_0000_0000, 0x3_0000_0000), None);
}
