// SPDX-License-Identifier: MIT OR Apache-2.0

use super::*;
use RegionKind::{AcpiTables, Device, Hole, Reserved, Rom, SystemRam};

fn range(start: u64, last: u64) -> PhysRange {
    PhysRange::from_inclusive(PhysAddr::new(start), PhysAddr::new(last)).unwrap()
}

fn map(regions: &[(u64, u64, RegionKind)]) -> MemoryMap {
    MemoryMap::new(regions.iter().map(|&(start, last, kind)| Region {
        range: range(start, last),
        kind,
    }))
    .unwrap()
}

fn pc() -> MemoryMap {
    map(&[
        (0, 0xfff, Reserved),
        (0x1000, 0x9_fbff, SystemRam),
        (0x9_fc00, 0xa_3fff, Reserved),
        (0xc_0000, 0xc_99ff, Rom),
        (0xc_a000, 0xc_afff, Device),
        (0x10_0000, 0x1f_ffff, SystemRam),
        (0x20_0000, 0x20_13ff, AcpiTables),
        (0x20_1400, 0x20_1fff, Reserved),
        (0x20_2000, 0x20_23ff, Device),
        (0x20_2400, 0x20_4fff, Reserved),
    ])
}

fn read(selection: &Selection) -> Vec<(u64, u64, RegionKind)> {
    let selected = selection.apply(&pc()).unwrap();
    let pieces = selected.read.iter();
    pieces
        .map(|planned| {
            let range = planned.range;
            (range.start().get(), range.last().get(), planned.kind)
        })
        .collect()
}

#[test]
fn ram_alone_is_widened_to_pages() {
    assert_eq!(
        read(&Selection::default()),
        [
            (0x1000, 0x9_ffff, SystemRam),
            (0x10_0000, 0x1f_ffff, SystemRam)
        ]
    );
}

#[test]
fn reserved_keeps_off_the_pages_of_ram_and_of_devices() {
    let selection = Selection {
        include_reserved: true,
        ..Selection::default()
    };
    assert_eq!(
        read(&selection),
        [
            (0, 0xfff, Reserved),
            (0x1000, 0x9_ffff, SystemRam),
            (0xa_0000, 0xa_3fff, Reserved),
            (0xc_0000, 0xc_9fff, Rom),
            (0x10_0000, 0x1f_ffff, SystemRam),
            (0x20_0000, 0x20_1fff, AcpiTables),
            (0x20_3000, 0x20_4fff, Reserved),
        ]
    );
}

#[test]
fn holes_reach_to_the_top_of_ram_or_of_the_range() {
    let mut selection = Selection {
        include_holes: true,
        ..Selection::default()
    };
    assert_eq!(
        read(&selection),
        [
            (0x1000, 0x9_ffff, SystemRam),
            (0xa_4000, 0xb_ffff, Hole),
            // 0xc9a00-0xc9fff shares its page with a ROM, which is harmless to read.
            (0xc_9000, 0xc_9fff, Hole),
            (0xc_b000, 0xf_ffff, Hole),
            (0x10_0000, 0x1f_ffff, SystemRam),
        ]
    );
    selection.windows = vec![range(0x1f_f800, 0x20_ffff)];
    assert_eq!(
        read(&selection),
        [
            (0x1f_f000, 0x1f_ffff, SystemRam),
            (0x20_5000, 0x20_ffff, Hole),
        ]
    );
}

#[test]
fn windows_clip_and_may_overlap() {
    let selection = Selection {
        windows: vec![
            range(0x2_0000, 0x2_0fff),
            range(0x1800, 0x2fff),
            range(0x2000, 0x3001),
        ],
        ..Selection::default()
    };
    assert_eq!(
        read(&selection),
        [(0x1000, 0x3fff, SystemRam), (0x2_0000, 0x2_0fff, SystemRam)]
    );
}

#[test]
fn what_is_read_and_what_is_not_make_up_the_map() {
    for include_reserved in [false, true] {
        for include_holes in [false, true] {
            let selection = Selection {
                include_reserved,
                include_holes,
                windows: Vec::new(),
                everything: false,
            };
            let selected = selection.apply(&pc()).unwrap();
            let end = selected.left_out.last().unwrap().range.end();
            let mut parts: Vec<PhysRange> = selected.left_out.iter().map(|r| r.range).collect();
            parts.extend(selected.read.iter().map(|planned| planned.range));
            parts.sort_unstable();
            let mut next = PhysAddr::ZERO;
            for part in parts {
                assert_eq!(part.start(), next);
                next = part.end();
            }
            assert_eq!(next, end.max(PhysAddr::new(0x20_5000)));
        }
    }
}

#[test]
fn an_empty_selection_is_an_error_that_says_what_was_wanted() {
    let selection = Selection {
        windows: vec![range(0xb_0000, 0xb_ffff)],
        ..Selection::default()
    };
    let error = selection.apply(&pc()).unwrap_err().to_string();
    assert!(
        error.contains("there is no System RAM in 0xb0000-0xbffff"),
        "{error}"
    );
}

#[test]
fn parts_are_the_whole_map_by_address() {
    let selected = Selection::default().apply(&pc()).unwrap();
    let parts = selected.parts();
    let read: Vec<_> = parts.iter().filter(|part| part.is_read).collect();
    assert_eq!(read.len(), selected.read.len());
    assert_eq!(parts.len(), selected.read.len() + selected.left_out.len());
    for pair in parts.windows(2) {
        assert!(pair[0].range.end() <= pair[1].range.start(), "{pair:?}");
    }
    let holds = |part: &Part, at: u64| part.range.contains(PhysAddr::new(at));
    let of = |at: u64| parts.iter().find(|part| holds(part, at)).unwrap();
    // The page that System RAM shares is read; what comes after it is not.
    assert!(of(0x9_fc00).is_read);
    assert!(!of(0xa_0000).is_read);
}

#[test]
fn partial_pages_are_left_out_and_told() {
    let map = pc().with_partial_pages_apart(linpmem_phys::PAGE_SIZE);
    for include_reserved in [false, true] {
        let selection = Selection {
            include_reserved,
            ..Selection::default()
        };
        let selected = selection.apply(&map).unwrap();
        let last = PhysAddr::new(0x9_f000);
        assert!(selected.read.iter().all(|read| !read.range.contains(last)));
        assert_eq!(
            selection.partial_pages(&selected),
            [range(0x9_f000, 0x9_fbff)]
        );
    }
    let elsewhere = Selection {
        windows: vec![range(0x10_0000, 0x10_ffff)],
        ..Selection::default()
    };
    let selected = elsewhere.apply(&map).unwrap();
    assert_eq!(elsewhere.partial_pages(&selected), []);
    let nothing_else = Selection {
        windows: vec![range(0x9_f000, 0x9_ffff)],
        ..Selection::default()
    };
    let error = nothing_else.apply(&map).unwrap_err().to_string();
    assert!(error.contains("only partly RAM"), "{error}");
}
