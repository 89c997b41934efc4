// SPDX-License-Identifier: MIT OR Apache-2.0
//! Kdump-compressed images, and the stream in which they are written.

use crate::hostile::exercise;
use crate::memory::{fill, plan, ram, range, write};
use crate::outputs::{CountingOutput, VecOutput};
use crate::roundtrip::{plans, read};
use linpmem_formats::{
    Chunk, Codec, CoreNote, Format, ImageOutput, ImagePlan, ImageReader, ImageWriter, MachineFacts,
    ReadAt, kdump, kdump::flattened, open_image, open_reader,
};
use linpmem_kinfo::layout::Architecture;
use linpmem_phys::{Content, Errno, Unreadable};
use proptest::collection::vec;
use proptest::prelude::*;

const COMPRESSIONS: [kdump::Compression; 4] = [
    kdump::Compression::None,
    kdump::Compression::Zlib,
    kdump::Compression::Snappy,
    kdump::Compression::Zstd,
];

fn stream(plan: &ImagePlan, compression: kdump::Compression, step: u64) -> Vec<u8> {
    let mut out = VecOutput::default();
    let mut writer = kdump::Writer::new(plan, compression).unwrap();
    write(plan, &mut writer, step, Codec::None, &mut out);
    out.0
}

/// The plain dump, as `makedumpfile -R` makes it from the stream.
fn dump(stream: Vec<u8>) -> Vec<u8> {
    let flattened = flattened::Reader::new(stream).unwrap();
    let mut bytes = vec![0; usize::try_from(flattened.len()).unwrap()];
    flattened.read_exact_at(0, &mut bytes).unwrap();
    bytes
}

fn small() -> ImagePlan {
    plan(vec![ram(0x1000, 0x4000), ram(0x8000, 0x9000)])
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn a_dump_gives_back_ranges_and_bytes(
        plan in plans(0..0x10_0000),
        step in 1..5_u64,
        compression in 0..4_usize,
    ) {
        let stream = stream(&plan, COMPRESSIONS[compression], step << 12);
        let flat = open_reader(stream.clone()).unwrap();
        let image = kdump::Reader::new(dump(stream)).unwrap();
        prop_assert_eq!(image.warnings().len(), 0);
        prop_assert_eq!(image.ranges(), flat.ranges());
        let text = plan.machine().vmcoreinfo.as_ref().filter(|text| !text.is_empty());
        prop_assert_eq!(image.machine().vmcoreinfo.as_ref(), text);
        prop_assert_eq!(&image.machine().notes, &plan.machine().notes);
        for planned in plan.ranges() {
            let (found, unreadable) = read(&image, planned.range);
            prop_assert!(unreadable.is_empty());
            let mut expected = vec![0; found.len()];
            fill(planned.range.start(), &mut expected);
            prop_assert!(found == expected);
            let held = image.ranges().iter().any(|stored| {
                stored.range.covers(planned.range) && stored.content == Content::Data
            });
            prop_assert!(held);
            // Within pages, and beyond the end.
            let odd = range(planned.range.start().get() + 0x123, planned.range.end().get() + 0x45);
            prop_assert_eq!(read(&*flat, odd), read(&image, odd));
        }
    }

    #[test]
    fn slice_and_file_read_the_same(plan in plans(0..64)) {
        let bytes = stream(&plan, kdump::Compression::Zlib, 0x3000);
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &bytes).unwrap();
        let (slice, of_file) = (open_reader(bytes).unwrap(), open_image(file.path()).unwrap());
        prop_assert_eq!(of_file.ranges(), slice.ranges());
        let whole = range(0, 0xa_0000);
        prop_assert_eq!(read(&*of_file, whole), read(&*slice, whole));
    }

    #[test]
    fn damage_gives_an_error_or_a_sound_image(
        damage in vec((any::<proptest::sample::Index>(), any::<u8>()), 1..6),
        front in vec((0..0x1100_usize, any::<u8>()), 0..4),
        flat in any::<bool>(),
    ) {
        let mut bytes = stream(&small(), kdump::Compression::Zlib, 0x1000);
        if !flat {
            bytes = dump(bytes);
        }
        for (at, value) in damage {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        for (at, value) in front {
            bytes[at] = value;
        }
        let _ = open_reader(bytes).map(|image| exercise(&*image));
    }
}

#[test]
fn the_header_is_what_makedumpfile_would_write() {
    let bytes = dump(stream(&small(), kdump::Compression::Zstd, 0x1000));
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    let long = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
    assert_eq!(&bytes[..8], b"KDUMP   ");
    assert_eq!(word(8), 6);
    assert_eq!(&bytes[12..17], b"Linux");
    assert_eq!(&bytes[12 + 130..12 + 143], b"6.12.0-test\0\0");
    assert_eq!(&bytes[12 + 195..12 + 203], b"unknown\0");
    assert_eq!(&bytes[12 + 260..12 + 267], b"x86_64\0");
    // status, block size, sub-header blocks, bitmap blocks, pages
    assert_eq!([424, 428, 432, 436, 440].map(word), [0x20, 4096, 1, 2, 9]);
    assert_eq!(word(460), 1);
    assert_eq!(long(4096 + 96), 9);
    assert_eq!((long(4096 + 32), long(4096 + 40)), (4096 + 128, 36));
    assert!(bytes[4096 + 128..].starts_with(b"OSRELEASE=6.12.0-test\n"));
    assert_eq!((long(4096 + 48), long(4096 + 56)), (4096 + 104, 60));
    assert_eq!([4200, 4204, 4208].map(word), [11, 36, 0]);
    assert_eq!(&bytes[4212..4224], b"VMCOREINFO\0\0");
    // Pages 1, 2, 3 and 8.
    assert_eq!(bytes[0x2000..0x2002], [0b1110, 1]);
    assert_eq!(bytes[0x3000..0x3002], [0b1110, 1]);
    // Pages 2 and 8 are zero and share one copy, which comes first.
    assert_eq!(long(0x4000 + 24), 0x5000);
    assert_eq!(long(0x4000 + 72), 0x5000);
}

/// Writes `plan` with these pages unreadable.
fn with_unreadable(plan: &ImagePlan, unreadable: &[Unreadable]) -> Vec<u8> {
    let mut out = VecOutput::default();
    let mut writer = kdump::Writer::new(plan, kdump::Compression::Zlib).unwrap();
    writer.begin(&mut out).unwrap();
    for planned in plan.ranges() {
        let mut data = vec![0; usize::try_from(planned.range.len().get()).unwrap()];
        fill(planned.range.start(), &mut data);
        let own: Vec<Unreadable> = unreadable
            .iter()
            .filter(|item| planned.range.covers(item.range))
            .copied()
            .collect();
        let chunk = Chunk::new(planned.range.start(), data.into(), &own);
        writer.chunk(&chunk, &mut out).unwrap();
    }
    writer.finish(&mut out).unwrap();
    out.0
}

#[test]
fn every_page_but_the_unreadable_one_comes_back() {
    let plan = small();
    for start in [0x1000, 0x2000, 0x3000, 0x8000] {
        let bad = Unreadable {
            range: range(start, start + 0x1000),
            errno: Errno::EIO,
        };
        let image = open_reader(with_unreadable(&plan, &[bad])).unwrap();
        for addr in [0x1000, 0x2000, 0x3000, 0x8000] {
            let (bytes, unreadable) = read(&*image, range(addr, addr + 0x1000));
            assert_eq!(unreadable.is_empty(), addr != start, "{addr:#x}");
            let mut expected = vec![0; 0x1000];
            if addr != start {
                fill(range(addr, addr + 0x1000).start(), &mut expected);
            }
            assert_eq!(bytes, expected, "{addr:#x} without {start:#x}");
        }
    }
}

#[test]
fn unreadable_pages_are_left_out_and_listed() {
    let bad = Unreadable {
        range: range(0x2000, 0x3000),
        errno: Errno::EIO,
    };
    let image = open_reader(with_unreadable(&small(), &[bad])).unwrap();
    let found: Vec<_> = image
        .ranges()
        .iter()
        .map(|stored| (stored.range, stored.content == Content::Data))
        .collect();
    assert_eq!(
        found,
        [
            (range(0x1000, 0x2000), true),
            (range(0x2000, 0x3000), false),
            (range(0x3000, 0x4000), true),
            (range(0x8000, 0x9000), true),
        ]
    );
    let (bytes, unreadable) = read(&*image, range(0x1000, 0x4000));
    assert_eq!(unreadable.as_slice()[0].range, bad.range);
    let mut expected = vec![0; 0x1000];
    fill(range(0x3000, 0x4000).start(), &mut expected);
    assert_eq!(bytes[0x2000..], expected);
}

#[test]
fn other_kinds_of_dumps_are_refused_with_a_reason() {
    let whole = dump(stream(&small(), kdump::Compression::Zlib, 0x1000));
    let with = |at: usize, bytes: &[u8]| {
        let mut other = whole.clone();
        other[at..at + bytes.len()].copy_from_slice(bytes);
        kdump::Reader::new(other)
    };
    for (at, bytes) in [
        (0, &b"DISKDUMP"[..]),
        (12 + 260, b"riscv64"),
        (428, &8192_u32.to_le_bytes()),
    ] {
        assert!(
            matches!(with(at, bytes), Err(kdump::Error::NotThisKind(_))),
            "{at}"
        );
    }
    let split = with(4096 + 12, &[1]).unwrap_err().to_string();
    let command = "`makedumpfile --reassemble FILE... OUT`";
    assert!(split.contains(command), "{split}");
    // More pages than the bitmaps cover; bitmaps larger than the file.
    assert!(with(4096 + 96, &u64::MAX.to_le_bytes()).is_err());
    assert!(with(436, &u32::MAX.to_le_bytes()).is_err());
    assert!(with(432, &u32::MAX.to_le_bytes()).is_err());
    assert!(with(424, &[9]).unwrap().warnings()[0].contains("incomplete"));
}

/// RHEL's kdump compresses with LZO by default.
#[test]
fn pages_that_are_compressed_with_lzo_are_read() {
    let mut bytes = dump(stream(&small(), kdump::Compression::None, 0x1000));
    bytes[424] = 2;
    // The descriptors of pages 1 and 3 refer to blocks at the end; 2 and 8 share another.
    let blocks: [&[u8]; 3] = [
        include_bytes!("../../testdata/lzo/text-1.lzo"),
        include_bytes!("../../testdata/lzo/zero-1.lzo"),
        include_bytes!("../../testdata/lzo/pointers-1.lzo"),
    ];
    for (index, block) in [
        (0, blocks[0]),
        (1, blocks[1]),
        (2, blocks[2]),
        (3, blocks[1]),
    ] {
        let at = 0x4000 + index * 24;
        let offset = u64::try_from(bytes.len()).unwrap();
        bytes[at..at + 8].copy_from_slice(&offset.to_le_bytes());
        let size = u32::try_from(block.len()).unwrap();
        bytes[at + 8..at + 12].copy_from_slice(&size.to_le_bytes());
        bytes[at + 12] = 2;
        bytes.extend_from_slice(block);
    }
    let image = kdump::Reader::new(bytes.clone()).unwrap();
    assert!(image.warnings().is_empty(), "{:?}", image.warnings());
    let (found, unreadable) = read(&image, range(0x1000, 0x4000));
    assert!(unreadable.is_empty());
    assert!(found.starts_with(b"kernel 0 "));
    assert!(found[0x1000..0x2000].iter().all(|&byte| byte == 0));
    assert_eq!(
        found[0x2000..0x2008],
        0xffff_8880_0000_0000_u64.to_le_bytes()
    );
    // A damaged page is unreadable, and the others are not.
    let at = bytes.len() - blocks[1].len() - 100;
    bytes[at..at + 50].fill(0);
    let image = kdump::Reader::new(bytes).unwrap();
    let (_, unreadable) = read(&image, range(0x1000, 0x4000));
    assert_eq!(unreadable.as_slice().len(), 1);
    assert_eq!(unreadable.as_slice()[0].range, range(0x3000, 0x4000));
    assert_eq!(unreadable.as_slice()[0].errno, Errno::EIO);
}

/// The end of RAM may be in the middle of a page.
#[test]
fn a_page_of_which_a_part_was_read_is_kept() {
    let bad = [
        Unreadable {
            range: range(0x1c00, 0x2000),
            errno: Errno::ENXIO,
        },
        // A whole page, in two pieces.
        Unreadable {
            range: range(0x3000, 0x3800),
            errno: Errno::EIO,
        },
        Unreadable {
            range: range(0x3800, 0x4000),
            errno: Errno::ENXIO,
        },
    ];
    let image = open_reader(with_unreadable(&small(), &bad)).unwrap();
    let (bytes, unreadable) = read(&*image, range(0x1000, 0x4000));
    assert_eq!(unreadable.as_slice().len(), 1);
    assert_eq!(unreadable.as_slice()[0].range, range(0x3000, 0x4000));
    let mut expected = vec![0; 0xc00];
    fill(range(0x1000, 0x1c00).start(), &mut expected);
    assert_eq!(bytes[..0xc00], expected);
}

/// What decides is what the notes say, not a name that writers fill carelessly.
#[test]
fn the_notes_of_a_dump_say_of_which_machine_it_is() {
    let registers = |bytes| CoreNote {
        name: b"CORE".to_vec(),
        kind: 1,
        content: vec![0; bytes],
    };
    let x86 = "NUMBER(phys_base)=0\n";
    let arm = "NUMBER(kimage_voffset)=0x1\n";
    // No name, QEMU 10's, our own, others'; what VMCOREINFO says; bytes of registers.
    let (x86_64, aarch64) = (Some(Architecture::X86_64), Some(Architecture::Aarch64));
    let refused = Err(());
    for (name, text, registers_bytes, known, warning) in [
        ("", "", 0, Ok(None), "which kind of machine"),
        ("Unknown", "", 0, Ok(None), "which kind of machine"),
        ("unknown", "", 0, Ok(None), "which kind of machine"),
        ("Unknown", x86, 0, Ok(x86_64), ""),
        ("Unknown", "", 336, Ok(x86_64), ""),
        ("", "", 336, Ok(x86_64), ""),
        ("x86_64", "", 0, Ok(x86_64), ""),
        ("x86_64", x86, 336, Ok(x86_64), ""),
        ("i686", x86, 0, Ok(x86_64), "they count"),
        ("aarch64", "", 336, Ok(x86_64), "they count"),
        ("aarch64", "", 0, Ok(aarch64), ""),
        ("aarch64", arm, 392, Ok(aarch64), ""),
        ("Unknown", arm, 0, Ok(aarch64), ""),
        ("Unknown", "", 392, Ok(aarch64), ""),
        ("x86_64", arm, 0, Ok(aarch64), "they count"),
        ("s390x", "", 0, refused, ""),
        ("aarch64_be", "", 0, refused, ""),
        ("Unknown", "", 376, refused, ""),
    ] {
        let what = format!("{name:?}, {text:?}, {registers_bytes}");
        let notes = (registers_bytes > 0).then(|| registers(registers_bytes));
        let machine = MachineFacts {
            vmcoreinfo: (!text.is_empty()).then(|| text.as_bytes().to_vec()),
            notes: notes.into_iter().collect(),
            ..MachineFacts::default()
        };
        let plan = ImagePlan::new(vec![ram(0x1000, 0x2000)], machine).unwrap();
        let mut bytes = dump(stream(&plan, kdump::Compression::Zlib, 0x1000));
        bytes[12 + 260..12 + 325].fill(0);
        bytes[12 + 260..12 + 260 + name.len()].copy_from_slice(name.as_bytes());
        let image = match kdump::Reader::new(bytes) {
            Err(kdump::Error::NotThisKind(_)) if known == refused => continue,
            image => image.unwrap(),
        };
        assert_eq!(Ok(image.machine().architecture), known, "{what}");
        let warnings = image.warnings();
        assert_eq!(
            warnings.is_empty(),
            warning.is_empty(),
            "{what}: {warnings:?}"
        );
        assert!(warnings.concat().contains(warning), "{what}: {warnings:?}");
    }
}

#[test]
fn fields_that_older_writers_leave_empty_are_found_elsewhere() {
    let with_registers = ImagePlan::new(
        vec![ram(0x1000, 0x4000)],
        MachineFacts {
            vmcoreinfo: Some(b"OSRELEASE=6.1.0\n".to_vec()),
            notes: vec![CoreNote {
                name: b"CORE".to_vec(),
                kind: 1,
                content: vec![7; 336],
            }],
            ..MachineFacts::default()
        },
    );
    let plan = with_registers.unwrap();
    let mut bytes = dump(stream(&plan, kdump::Compression::Zlib, 0x1000));
    // VMCOREINFO is among the notes, and the number of pages in the header.
    bytes[4096 + 32..4096 + 48].fill(0);
    bytes[4096 + 96..4096 + 104].fill(0);
    let image = kdump::Reader::new(bytes).unwrap();
    assert_eq!(image.machine().notes, plan.machine().notes);
    assert_eq!(image.machine().vmcoreinfo, plan.machine().vmcoreinfo);
    assert_eq!(image.ranges()[0].range, range(0x1000, 0x4000));
}

#[test]
fn any_number_of_ranges_at_any_address() {
    for count in [65_534, 70_000] {
        let plan = crate::memory::scattered(count);
        let image = open_reader(stream(&plan, kdump::Compression::Snappy, 0x1000)).unwrap();
        assert_eq!(image.format(), Format::Kdump);
        assert_eq!(u64::try_from(image.ranges().len()).unwrap(), count);
        let last = image.ranges().last().unwrap().range;
        let mut expected = vec![0; 0x1000];
        fill(last.start(), &mut expected);
        assert_eq!(read(&*image, last).0, expected);
    }
    let borders = [1 << 31, 1 << 32].map(|border| ram(border - 0x1000, border + 0x1000));
    let plan = plan(borders.to_vec());
    let image = open_reader(stream(&plan, kdump::Compression::Zlib, 0x1000)).unwrap();
    for stored in image.ranges() {
        let (found, unreadable) = read(&*image, stored.range);
        let mut expected = vec![0; found.len()];
        fill(stored.range.start(), &mut expected);
        assert!(unreadable.is_empty() && found == expected);
    }
}

#[test]
fn memory_beyond_the_bitmaps_is_refused() {
    const TIB: u64 = 1 << 40;
    let at = |end: u64| plan(vec![ram(end - 0x1000, end)]);
    let compression = kdump::Compression::Zlib;
    assert!(kdump::Writer::new(&at(32 * TIB + 0x1000), compression).is_err());
    assert!(kdump::Writer::new(&at(1 << 52), compression).is_err());
    let last = at(32 * TIB);
    let mut out = CountingOutput::default();
    let mut writer = kdump::Writer::new(&last, compression).unwrap();
    write(&last, &mut writer, 0x1000, Codec::None, &mut out);
    assert!(out.position() > 2 << 30);
}

/// Some readers of the stream look a byte up in the one record that has it.
#[test]
fn the_records_of_a_stream_cover_the_dump_without_overlapping() {
    let ranges = vec![
        ram(0x3000, 0x240_5000),
        ram(0x240_7000, 0x240_8000),
        ram(0x1_0000_0000, 0x1_0140_0000),
    ];
    let plan = plan(ranges);
    let stream = stream(&plan, kdump::Compression::Snappy, 0x10_0000);
    let number = |at: usize| i64::from_be_bytes(stream[at..at + 8].try_into().unwrap());
    let mut records = Vec::new();
    let mut at = 4096;
    while number(at) >= 0 {
        records.push((number(at), number(at) + number(at + 8)));
        at += 16 + usize::try_from(number(at + 8)).unwrap();
    }
    assert_eq!(at + 16, stream.len());
    records.sort_unstable();
    let mut end = 0;
    for (first, after) in records {
        assert_eq!(first, end);
        end = after;
    }
    let image = open_reader(stream).unwrap();
    for planned in plan.ranges() {
        let (found, unreadable) = read(&*image, planned.range);
        let mut expected = vec![0; found.len()];
        fill(planned.range.start(), &mut expected);
        assert!(unreadable.is_empty() && found == expected);
    }
}

/// What makedumpfile writes, and what readers go by.
#[test]
fn a_dump_of_arm64_says_so_and_has_its_offset() {
    let text = "OSRELEASE=7.3.4\nPAGESIZE=4096\nNUMBER(kimage_voffset)=0xffff800040000000\n\
        NUMBER(PHYS_OFFSET)=0xfff0ed1980000000\n";
    let machine = MachineFacts {
        vmcoreinfo: Some(text.as_bytes().to_vec()),
        ..MachineFacts::default()
    };
    let arm64 = ImagePlan::new(vec![ram(0x1000, 0x2000)], machine).unwrap();
    let bytes = dump(stream(&arm64, kdump::Compression::Zlib, 0x1000));
    assert_eq!(bytes[12 + 260..][..8], *b"aarch64\0");
    assert_eq!(bytes[4096..][..8], 0xfff0_ed19_8000_0000_u64.to_le_bytes());
    let image = kdump::Reader::new(bytes).unwrap();
    assert_eq!(image.machine().architecture, Some(Architecture::Aarch64));
    assert!(image.warnings().is_empty(), "{:?}", image.warnings());
}
