// SPDX-License-Identifier: MIT OR Apache-2.0

use super::*;
use goblin::elf::program_header::{PT_LOAD, PT_NOTE, ProgramHeader};
use linpmem_kinfo::notes;
use linpmem_kinfo::vmcoreinfo::{NOTE_KIND, NOTE_NAME};
use linpmem_phys::Region;
use std::io::Write;

const BASE: u64 = 0xffff_8880_0000_0000;

fn put_headers(file: &File, headers: &[ProgramHeader]) {
    let mut bytes = vec![0x7f, b'E', b'L', b'F', 2, 1, 1];
    bytes.resize(16, 0);
    for (len, value) in [
        (2, 4), // ET_CORE
        (2, 62),
        (4, 1),
        (8, 0),
        (8, 64),
        (8, 0),
        (4, 0),
        (2, 64),
        (2, 56),
        (2, u64::try_from(headers.len()).unwrap()),
        (2, 0),
        (2, 0),
        (2, 0),
    ] {
        bytes.extend_from_slice(&u64::to_le_bytes(value)[..len]);
    }
    for header in headers {
        bytes.extend_from_slice(&header.p_type.to_le_bytes());
        bytes.extend_from_slice(&header.p_flags.to_le_bytes());
        for value in [
            header.p_offset,
            header.p_vaddr,
            header.p_paddr,
            header.p_filesz,
            header.p_memsz,
            header.p_align,
        ] {
            bytes.extend_from_slice(&value.to_le_bytes());
        }
    }
    file.write_all_at(&bytes, 0).unwrap();
}

fn ram(paddr: u64, len: u64, offset: u64) -> ProgramHeader {
    ProgramHeader {
        p_type: PT_LOAD,
        p_vaddr: BASE + paddr,
        p_paddr: paddr,
        p_offset: offset,
        p_filesz: len,
        p_memsz: len,
        ..ProgramHeader::default()
    }
}

fn range(first: u64, last: u64) -> PhysRange {
    PhysRange::from_inclusive(PhysAddr::new(first), PhysAddr::new(last)).unwrap()
}

fn map() -> MemoryMap {
    MemoryMap::new(
        [(0x1000, 0x8bff), (0x10000, 0x13fff)].map(|(first, last)| Region {
            range: range(first, last),
            kind: linpmem_phys::RegionKind::SystemRam,
        }),
    )
    .unwrap()
}

/// 0x1000-0x7fff full of 1 but for a zero page at 0x3000, 0x10000-0x13fff full of 2.
fn core() -> File {
    let file = tempfile::tempfile().unwrap();
    let note = ProgramHeader {
        p_type: PT_NOTE,
        p_offset: 0x800,
        p_filesz: 0x100,
        ..ProgramHeader::default()
    };
    put_headers(
        &file,
        &[
            note,
            ram(0x1_0000, 0x4000, 0x9000),
            ram(0x1000, 0x7000, 0x2000),
        ],
    );
    let mut notes = Vec::new();
    notes::append(&mut notes, b"CORE", 1, b"registers").unwrap();
    notes::append(&mut notes, NOTE_NAME, NOTE_KIND, b"OSRELEASE=6.12\n\0\0").unwrap();
    notes.resize(0x100, 0);
    file.write_all_at(&notes, 0x800).unwrap();
    file.write_all_at(&[1; 0x7000], 0x2000).unwrap();
    file.write_all_at(&[0; 0x1000], 0x4000).unwrap();
    file.write_all_at(&[2; 0x4000], 0x9000).unwrap();
    file
}

fn flags(refused: &[(usize, u32)]) -> PageFlags {
    let mut file = tempfile::tempfile().unwrap();
    let mut words = [0_u64; 0x20];
    for &(page, bit) in refused {
        words[page] = 1 << bit;
    }
    file.write_all(&words.map(u64::to_le_bytes).concat())
        .unwrap();
    PageFlags::from_file(file)
}

fn read(kcore: &Kcore, start: u64, len: usize) -> (Vec<u8>, Vec<(PhysRange, Errno)>) {
    let mut bytes = vec![0x55; len];
    let mut unreadable = Unreadables::new();
    kcore
        .read_phys(PhysAddr::new(start), &mut bytes, &mut unreadable)
        .unwrap();
    let listed = unreadable.as_slice().iter();
    let listed = listed.map(|item| (item.range, item.errno)).collect();
    (bytes.iter().step_by(0x1000).copied().collect(), listed)
}

#[test]
fn memory_is_found_by_its_physical_address_and_holes_are_listed() {
    let kcore = Kcore::with(core(), &map(), None, PageFlags::unavailable()).unwrap();
    assert_eq!(kcore.direct_map_base(), BASE);
    assert_eq!(kcore.vmcoreinfo(), Some(&b"OSRELEASE=6.12\n"[..]));
    let [warning] = &kcore.warnings()[..] else {
        panic!("one warning");
    };
    assert!(warning.contains("/proc/kpageflags"), "{warning}");
    let (pages, listed) = read(&kcore, 0, 0x1_5000);
    let mut expected = [0; 0x15];
    expected[1..8].fill(1);
    expected[3] = 0;
    expected[0x10..0x14].fill(2);
    assert_eq!(pages, expected);
    // The partial page at 0x8000 is not in the file.
    assert_eq!(
        listed,
        [
            (range(0, 0xfff), NOT_MAPPED),
            (range(0x8000, 0xffff), NOT_MAPPED),
            (range(0x1_4000, 0x1_4fff), NOT_MAPPED),
        ]
    );
}

#[test]
fn offline_memory_that_the_file_leaves_out_is_told_apart_from_what_it_should_have() {
    // Of the RAM at 0x10000, the second half is in no segment, and the last page offline.
    let file = core();
    put_headers(
        &file,
        &[ram(0x1_0000, 0x2000, 0x9000), ram(0x1000, 0x7000, 0x2000)],
    );
    let kcore = Kcore::with(file, &map(), None, flags(&[(0x13, 20)])).unwrap();
    let (pages, listed) = read(&kcore, 0x1_0000, 0x4000);
    assert_eq!(pages, [2, 2, 0, 0]);
    assert_eq!(
        listed,
        [
            (range(0x1_2000, 0x1_2fff), NOT_MAPPED),
            (range(0x1_3000, 0x1_3fff), Errno::ENODATA)
        ]
    );
}

#[test]
fn zeros_that_are_not_the_content_of_memory_are_listed() {
    // The page of zeros is offline; the poisoned one is not even read.
    let kcore = Kcore::with(core(), &map(), None, flags(&[(3, 23), (0x11, 19)])).unwrap();
    let (pages, listed) = read(&kcore, 0x1000, 0x7000);
    assert_eq!(pages, [1, 1, 0, 1, 1, 1, 1]);
    assert_eq!(listed, [(range(0x3000, 0x3fff), Errno::ENODATA)]);
    let (pages, listed) = read(&kcore, 0x1_0000, 0x4000);
    assert_eq!(pages, [2, 0, 2, 2]);
    assert_eq!(listed, [(range(0x1_1000, 0x1_1fff), Errno::EHWPOISON)]);
}

#[test]
fn memory_that_moves_within_the_file_is_found_again() {
    let file = core();
    let kcore = Kcore::with(
        file.try_clone().unwrap(),
        &map(),
        None,
        PageFlags::unavailable(),
    )
    .unwrap();
    // As when memory is added: one header more, and all data elsewhere.
    put_headers(
        &file,
        &[
            ram(0x1_0000, 0x4000, 0x2_9000),
            ram(0x1000, 0x7000, 0x2_2000),
            ram(0x8_0000, 1, 0),
            ram(0x9_0000, 1, 0),
        ],
    );
    file.write_all_at(&[3; 0x7000], 0x2_2000).unwrap();
    file.write_all_at(&[4; 0x4000], 0x2_9000).unwrap();
    assert_eq!(read(&kcore, 0x1000, 0x3000), (vec![3, 3, 3], Vec::new()));
    assert_eq!(read(&kcore, 0x1_0000, 0x1000), (vec![4], Vec::new()));
}

#[test]
fn anything_but_a_core_is_refused() {
    let empty = tempfile::tempfile().unwrap();
    assert!(Kcore::with(empty, &map(), None, PageFlags::unavailable()).is_err());
    let text = tempfile::tempfile().unwrap();
    text.write_all_at(&[b'x'; 0x1000], 0).unwrap();
    let error = Kcore::with(text, &map(), None, PageFlags::unavailable()).unwrap_err();
    assert!(error.to_string().contains("not an ELF core"), "{error}");
    // More headers than the file has room for.
    let cut = tempfile::tempfile().unwrap();
    put_headers(&cut, &vec![ram(0, 1, 0); 5]);
    cut.set_len(100).unwrap();
    assert!(Kcore::with(cut, &map(), None, PageFlags::unavailable()).is_err());
}

#[test]
fn a_file_that_is_masked_is_called_that() {
    let null = File::open("/dev/null").unwrap();
    let empty = tempfile::tempfile().unwrap();
    for masked in [null, empty] {
        let error = headers::read(&masked).unwrap_err().to_string();
        assert!(error.contains("mounted over it"), "{error}");
        assert!(error.contains("umount /proc/kcore"), "{error}");
    }
    let mut short = tempfile::tempfile().unwrap();
    short.write_all(b"\x7fELF").unwrap();
    let error = headers::read(&short).unwrap_err().to_string();
    assert!(error.contains("reading the ELF headers"), "{error}");
}
