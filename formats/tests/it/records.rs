// SPDX-License-Identifier: MIT OR Apache-2.0
//! LiME and AVML images, which consist of records.

use crate::hostile::exercise;
use crate::memory::{fill, plan, ram, range, write};
use crate::outputs::VecOutput;
use crate::roundtrip::{plans, read};
use linpmem_formats::{
    Codec, Format, ImagePlan, ImageReader, ImageWriter, avml, lime, open_image, open_reader,
};
use linpmem_phys::{Content, Errno, PhysAddr, PhysRange};
use proptest::collection::vec;
use proptest::prelude::*;

fn lime(plan: &ImagePlan, step: u64) -> Vec<u8> {
    let mut out = VecOutput::default();
    let mut writer = lime::Writer::new(plan).unwrap();
    write(plan, &mut writer, step, Codec::None, &mut out);
    out.0
}

fn avml(plan: &ImagePlan, step: u64) -> Vec<u8> {
    let mut out = VecOutput::default();
    let mut writer = avml::Writer::new(plan);
    write(plan, &mut writer, step, Codec::None, &mut out);
    out.0
}

fn small() -> ImagePlan {
    plan(vec![ram(0x1000, 0x4000), ram(0x8000, 0x9000)])
}

/// A record as AVML or LiME writes it, with this last address.
fn record(magic: &[u8; 4], version: u32, first: u64, last: u64, data: &[u8]) -> Vec<u8> {
    let mut bytes = magic.to_vec();
    bytes.extend(version.to_le_bytes());
    bytes.extend(first.to_le_bytes());
    bytes.extend(last.to_le_bytes());
    bytes.extend([0; 8]);
    bytes.extend(data);
    bytes
}

fn snappy(data: &[u8]) -> Vec<u8> {
    let mut encoder = snap::write::FrameEncoder::new(Vec::new());
    std::io::Write::write_all(&mut encoder, data).unwrap();
    let mut stream = encoder.into_inner().unwrap();
    let len = u64::try_from(stream.len()).unwrap();
    stream.extend(len.to_le_bytes());
    stream
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn a_lime_image_gives_back_ranges_and_bytes(plan in plans(0..0x10_0000), step in 1..5_u64) {
        let image = lime::Reader::new(lime(&plan, step << 12)).unwrap();
        prop_assert_eq!(image.warnings().len(), 0);
        prop_assert_eq!(image.ranges().len(), plan.ranges().len());
        let writer = lime::Writer::new(&plan).unwrap();
        for (index, (stored, planned)) in image.ranges().iter().zip(plan.ranges()).enumerate() {
            prop_assert_eq!(stored.range, planned.range);
            prop_assert_eq!(stored.content, Content::Data);
            prop_assert_eq!(stored.offset, writer.data_offset(index));
            check(&image, planned.range);
        }
    }

    #[test]
    fn an_avml_image_gives_back_bytes(plan in plans(0..0x10_0000), step in 1..5_u64) {
        let image = avml::Reader::new(avml(&plan, step << 12)).unwrap();
        prop_assert_eq!(image.warnings().len(), 0);
        for planned in plan.ranges() {
            prop_assert!(image.ranges().iter().any(|stored| stored.range.covers(planned.range)));
            check(&image, planned.range);
        }
    }

    #[test]
    fn slice_and_file_read_the_same(
        plan in plans(0..64),
        compressed in any::<bool>(),
        windows in vec((0..0xa_0000_u64, 1..0x8000_u64), 8),
    ) {
        let bytes = if compressed { avml(&plan, 0x3000) } else { lime(&plan, 0x3000) };
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &bytes).unwrap();
        let slice = open_reader(bytes).unwrap();
        let of_file = open_image(file.path()).unwrap();
        prop_assert_eq!(of_file.ranges(), slice.ranges());
        for &(start, len) in &windows {
            let window = PhysRange::from_len(PhysAddr::new(start), linpmem_phys::PhysLen::new(len)).unwrap();
            prop_assert_eq!(read(&*of_file, window), read(&*slice, window));
        }
    }

    #[test]
    fn damage_gives_an_error_or_a_sound_image(
        damage in vec((any::<proptest::sample::Index>(), any::<u8>()), 1..6),
        compressed in any::<bool>(),
    ) {
        let mut bytes = if compressed { avml(&small(), 0x1000) } else { lime(&small(), 0x1000) };
        for (at, value) in damage {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if compressed {
            let _ = avml::Reader::new(bytes).map(|image| exercise(&image));
        } else {
            let _ = lime::Reader::new(bytes).map(|image| exercise(&image));
        }
    }

    #[test]
    fn damage_to_headers_too(damage in vec((0..32_usize, any::<u8>()), 1..4)) {
        let (mut plain, mut packed) = (lime(&small(), 0x1000), avml(&small(), 0x4000));
        for (at, value) in damage {
            plain[at] = value;
            packed[at] = value;
        }
        let _ = lime::Reader::new(plain).map(|image| exercise(&image));
        let _ = avml::Reader::new(packed).map(|image| exercise(&image));
    }
}

fn check(image: &dyn ImageReader, range: PhysRange) {
    let (found, unreadable) = read(image, range);
    assert!(unreadable.is_empty());
    let mut expected = vec![0; found.len()];
    fill(range.start(), &mut expected);
    assert!(found == expected, "{range} differs");
}

#[test]
fn both_are_found_by_their_magic() {
    for (bytes, format) in [
        (lime(&small(), 0x1000), Format::Lime),
        (avml(&small(), 0x1000), Format::Avml),
    ] {
        assert_eq!(open_reader(bytes).unwrap().format(), format);
    }
}

#[test]
fn ranges_that_avml_cut_short_are_read_with_a_warning() {
    // As AVML up to 0.20 writes them: without the last byte of each range.
    let page = [7; 0xfff];
    let plain = [
        record(b"EMiL", 1, 0x1000, 0x1ffe, &page),
        record(b"EMiL", 1, 0x3000, 0x3ffe, &page),
    ]
    .concat();
    let packed = [
        record(b"AVML", 2, 0x1000, 0x1ffe, &snappy(&page)),
        record(b"AVML", 2, 0x3000, 0x3ffe, &snappy(&page)),
    ]
    .concat();
    for bytes in [plain, packed] {
        let image = open_reader(bytes).unwrap();
        assert!(image.warnings()[0].contains("2 records begin or end within a page"));
        let (found, unreadable) = read(&*image, range(0x1000, 0x2000));
        assert_eq!((found[0xffe], found[0xfff]), (7, 0));
        let [missing] = unreadable.as_slice() else {
            panic!("{unreadable:?}");
        };
        assert_eq!(missing.range, range(0x1fff, 0x2000));
        assert_eq!(missing.errno, Errno::ENXIO);
    }
}

#[test]
fn disorder_and_padding_are_warnings_but_contradictions_are_errors() {
    let page = [7; 0x1000];
    let high = record(b"EMiL", 1, 0x3000, 0x3fff, &page);
    let low = record(b"EMiL", 1, 0x1000, 0x1fff, &page);
    let image = lime::Reader::new([&high[..], &low, &[0; 700]].concat()).unwrap();
    assert_eq!(image.ranges()[0].range, range(0x1000, 0x2000));
    assert_eq!(image.warnings().len(), 2, "{:?}", image.warnings());

    let overlapping = record(b"EMiL", 1, 0x1800, 0x27ff, &page);
    assert!(matches!(
        lime::Reader::new([&low[..], &overlapping].concat()),
        Err(lime::Error::Overlap { .. })
    ));
    for tail in [&b"junk"[..], &[0xff; 64], &[0; (1 << 20) + 1]] {
        assert!(matches!(
            lime::Reader::new([&low[..], tail].concat()),
            Err(lime::Error::Record { offset: 0x1020, .. })
        ));
    }
    assert!(lime::Reader::new(record(b"EMiL", 1, 0x1000, 0xfff, &[])).is_err());
    assert!(lime::Reader::new(record(b"EMiL", 1, 0x1000, u64::MAX, &page)).is_err());
    assert!(matches!(
        lime::Reader::new(Vec::new()),
        Err(lime::Error::Empty)
    ));
}

/// As AVML 0.16 and 0.17 write 16 MiB of zeros, and their converter the same as LiME.
#[test]
fn a_header_that_the_next_one_follows_stands_for_zeros() {
    let page = [7; 0x1000];
    let nothing: &[u8] = &[];
    for (magic, version) in [(b"AVML", 2), (b"EMiL", 1)] {
        let data = |bytes: &[u8]| match version {
            2 => snappy(bytes),
            _ => bytes.to_vec(),
        };
        let record = |first, last, data: &[u8]| record(magic, version, first, last, data);
        for (bytes, zeros) in [
            // One block, and several after each other; at the beginning, and in the middle.
            (
                [
                    record(0x1000, 0x1fff, &data(&page)),
                    record(0x2000, 0x2fff, nothing),
                    record(0x3000, 0x3fff, &data(&page)),
                ]
                .concat(),
                range(0x2000, 0x3000),
            ),
            (
                [
                    record(0, 0xfff, nothing),
                    record(0x1000, 0x1fff, nothing),
                    record(0x3000, 0x3fff, &data(&page)),
                ]
                .concat(),
                range(0, 0x2000),
            ),
        ] {
            let whole = bytes.len();
            let image = open_reader(bytes.clone()).unwrap();
            let (found, unreadable) = read(&*image, zeros);
            assert!(unreadable.is_empty(), "{unreadable:?}");
            assert!(found.iter().all(|&byte| byte == 0));
            let (found, unreadable) = read(&*image, range(0x3000, 0x4000));
            assert!(unreadable.is_empty());
            assert_eq!(found, page);
            let note = "as AVML 0.16 and 0.17 write";
            assert!(image.warnings()[0].contains(note), "{:?}", image.warnings());
            assert_eq!(image.truncation(), None);
            // Where the file was cut off, a header alone does not stand for zeros.
            let lost = bytes.len() - data(&page).len() - 32;
            for len in [lost, lost + 16, whole - 0x10] {
                let image = open_reader(bytes[..len].to_vec()).unwrap();
                assert!(image.truncation().is_some(), "{len}");
                let (found, unreadable) = read(&*image, range(0, 0x4000));
                let known = |addr: usize| {
                    let addr = PhysAddr::new(u64::try_from(addr).unwrap());
                    !unreadable
                        .as_slice()
                        .iter()
                        .any(|item| item.range.contains(addr))
                };
                for (addr, byte) in found.iter().enumerate().filter(|(addr, _)| known(*addr)) {
                    let is_seven = addr >= 0x3000
                        || (addr >= 0x1000 && zeros.start().get() == 0x2000 && addr < 0x2000);
                    assert_eq!(*byte, if is_seven { 7 } else { 0 }, "{addr:#x} of {len}");
                }
            }
        }
    }
}

/// Memory may begin with a header: that of a LiME image in the page cache.
#[test]
fn memory_that_begins_with_a_header_is_not_zero() {
    let mut page = record(b"EMiL", 1, 0x8000, 0x8fff, &[]);
    page.resize(0x1000, 9);
    let first = record(b"EMiL", 1, 0x1000, 0x1fff, &page);
    let next = record(b"EMiL", 1, 0x4000, 0x4fff, &[7; 0x1000]);
    for bytes in [first.clone(), [first, next].concat()] {
        let image = lime::Reader::new(bytes).unwrap();
        assert!(image.warnings().is_empty(), "{:?}", image.warnings());
        let (found, unreadable) = read(&image, range(0x1000, 0x2000));
        assert!(unreadable.is_empty());
        assert_eq!(found, page);
    }
}

#[test]
fn a_block_with_a_false_length_is_unreadable_and_not_zero() {
    let page = [7; 0x1000];
    for len in [0xfff, 0x1001, 0x2000] {
        let bytes = record(b"AVML", 2, 0x1000, 0x1fff, &snappy(&vec![7; len]));
        let image = avml::Reader::new(bytes).unwrap();
        let (found, unreadable) = read(&image, range(0x1000, 0x2000));
        assert_eq!(unreadable.as_slice()[0].errno, Errno::EIO, "{len}");
        assert!(found.iter().all(|&byte| byte == 0));
    }
    // More than is accepted, in few bytes.
    let huge = record(b"AVML", 2, 0, (1 << 40) - 1, &snappy(&page));
    assert!(avml::Reader::new(huge).is_err());
}

#[test]
fn any_number_of_records_at_any_address() {
    const TOP: u64 = 1 << 52;
    let ranges = [1 << 31, 1 << 32].map(|border| ram(border - 0x1000, border + 0x1000));
    let ranges = [ranges.to_vec(), vec![ram(TOP - 0x1000, TOP)]].concat();
    for plan in [plan(ranges), crate::memory::scattered(70_000)] {
        let image = lime::Reader::new(lime(&plan, 0x1000)).unwrap();
        assert_eq!(image.ranges().len(), plan.ranges().len());
        for stored in [&image.ranges()[0], image.ranges().last().unwrap()] {
            check(&image, stored.range);
        }
    }
}
