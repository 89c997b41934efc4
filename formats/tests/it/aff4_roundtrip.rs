// SPDX-License-Identifier: MIT OR Apache-2.0
//! AFF4: written and read is the input.

use crate::aff4_images::{Memory, mixed, open, options};
use crate::memory::{plan, ram, range};
use crate::outputs::VecOutput;
use linpmem_formats::{Format, ImageReader, aff4, open_reader};
use linpmem_phys::{Content, PhysAddr, PhysLen, PhysRange, Unreadables};
use proptest::collection::vec;
use proptest::prelude::*;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};

const ALL: [aff4::Compression; 4] = [
    aff4::Compression::Snappy,
    aff4::Compression::Lz4,
    aff4::Compression::Zlib,
    aff4::Compression::None,
];

/// That `image` holds `memory`: content, ranges, kinds and unreadable pages.
fn compare(image: &dyn ImageReader, memory: &Memory, step: u64) {
    let mut readable = Vec::new();
    let mut unreadable = Vec::new();
    for stored in image.ranges() {
        match stored.content {
            Content::Data => readable.push((stored.range, stored.kind)),
            Content::Unreadable { .. } => unreadable.push(stored.range),
            other => panic!("{other:?}"),
        }
    }
    let mut expected = Vec::new();
    let mut missing = Vec::new();
    for planned in memory.plan.ranges() {
        let mut next = Some(planned.range);
        for gap in memory
            .unreadable
            .iter()
            .filter_map(|gap| gap.intersect(planned.range))
        {
            missing.push(gap);
            let Some(rest) = next else { break };
            expected.extend(
                rest.split_at(gap.start())
                    .0
                    .map(|part| (part, Some(planned.kind))),
            );
            next = rest.split_at(gap.end()).1;
        }
        expected.extend(next.map(|part| (part, Some(planned.kind))));
    }
    assert_eq!(readable, expected);
    assert_eq!(unreadable, missing);
    for planned in memory.plan.ranges() {
        for piece in planned.range.pieces(PhysLen::new(step)) {
            let (data, gaps) = memory.read(piece);
            let mut buf = vec![0xee; data.len()];
            let mut found = Unreadables::new();
            image
                .read_phys(piece.start(), &mut buf, &mut found)
                .unwrap();
            assert!(buf == data, "{piece}");
            let found: Vec<PhysRange> = found.as_slice().iter().map(|item| item.range).collect();
            let gaps: Vec<PhysRange> = gaps.iter().map(|item| item.range).collect();
            assert_eq!(found, gaps, "{piece}");
        }
    }
}

#[test]
fn content_ranges_kinds_and_unreadable_pages_come_back() {
    for compression in ALL {
        let bytes = mixed().image(options(compression));
        let image = open_reader(bytes).unwrap();
        assert_eq!(image.format(), Format::Aff4);
        assert_eq!(image.warnings(), [""; 0]);
        assert_eq!(image.machine(), mixed().plan.machine());
        for step in [0x1000, 0x7000, 0x4_0000] {
            compare(&*image, &mixed(), step);
        }
    }
}

#[test]
fn what_is_encoded_beforehand_gives_the_same_bytes() {
    for compression in ALL {
        let [before, here] = [true, false].map(|encoded| {
            let mut out = VecOutput::default();
            mixed().write(options(compression), 0x10_0000, encoded, &mut out);
            out.0
        });
        assert!(before == here, "{compression}");
        let mut small = VecOutput::default();
        mixed().write(options(compression), 0x8000, true, &mut small);
        assert!(before == small.0, "{compression}, in pieces of a block");
    }
}

#[test]
fn facts_case_and_files_come_back() {
    let facts = aff4::Facts {
        page_table: Some(0x2c_1000_0000),
        kaslr_offset: Some(0x1e00_0000),
        installed_bytes: Some(8 << 30),
    };
    let case = aff4::Case {
        name: Some("\"quoted\" \\ case\nof two lines".to_owned()),
        examiner: Some("É. Xaminer".to_owned()),
        notes: Some("<none> ^^ .".to_owned()),
    };
    let files = [
        ("/proc/iomem", b"00001000-0009efff : System RAM\n".to_vec()),
        ("/boot/odd name%20é<>\"", Vec::new()),
        ("/larger than a piece", vec![7; 300 << 10]),
    ];
    let image = open(
        mixed().image(linpmem_formats::aff4::Options {
            facts,
            case: case.clone(),
            files: files
                .iter()
                .map(|(path, content)| aff4::File::new(*path, content.clone()))
                .collect(),
            ..options(aff4::Compression::Snappy)
        }),
    );
    assert_eq!(image.facts(), facts);
    let properties = image.properties();
    for (name, value) in [
        ("caseName", case.name),
        ("examiner", case.examiner),
        ("notes", case.notes),
        (
            "acquisitionCompletionState",
            Some("Completed Normally".to_owned()),
        ),
        ("kernelRelease", Some("6.12.0-test".to_owned())),
    ] {
        let found = properties.iter().find(|(known, _)| known == name);
        assert_eq!(found.map(|(_, value)| value.clone()), value, "{name}");
    }
    let found = image.files();
    assert_eq!(found.len(), 4);
    for (path, content) in files {
        let info = found.iter().find(|info| info.path == path).unwrap();
        assert_eq!(info.bytes, Some(u64::try_from(content.len()).unwrap()));
        assert_eq!(image.file(&info.urn).unwrap(), content);
        assert_eq!(
            image.open_file(&info.urn).unwrap().len(),
            info.bytes.unwrap()
        );
    }
}

/// A file that grows between its length and its bytes.
struct Growing(AtomicUsize);

impl aff4::Content for Growing {
    fn open(&self) -> io::Result<Box<dyn io::Read + '_>> {
        let times = self.0.fetch_add(1, Ordering::Relaxed);
        Ok(Box::new(io::Cursor::new(vec![b'x'; 10 - times])))
    }
}

#[test]
fn a_file_that_changes_while_it_is_written_is_noticed() {
    let options = aff4::Options {
        files: vec![aff4::File::new("/var/log", Growing(AtomicUsize::new(0)))],
        ..options(aff4::Compression::Snappy)
    };
    let error = mixed().try_write(options, 0x1000, false, &mut VecOutput::default());
    let error = error.unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot read /var/log to store it in the image: it changed while it was read"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(100) })]

    #[test]
    fn any_memory_comes_back(
        pages in vec((1_u64..40, 1_u64..30), 1..6),
        gaps in vec((0_u64..200, 1_u64..12), 0..6),
        step in 1_u64..40,
        read in 1_u64..50,
        codec in 0..4_usize,
        encoded in any::<bool>(),
    ) {
        let mut next = 0;
        let mut ranges = Vec::new();
        for (hole, len) in pages {
            let start = next + (hole - 1) * 0x1000;
            next = start + len * 0x1000;
            ranges.push(ram(start, next));
        }
        // Ranges that touch and are of one kind stay two.
        let mut unreadable: Vec<PhysRange> = Vec::new();
        let mut free = PhysAddr::ZERO;
        for (skip, len) in gaps {
            let start = free.get() + skip * 0x1000;
            let gap = range(start, start + len * 0x1000);
            free = PhysAddr::new(gap.end().get() + 0x1000);
            unreadable.push(gap);
        }
        let memory = Memory { plan: plan(ranges), unreadable };
        let mut out = VecOutput::default();
        memory.write(options(ALL[codec]), step * 0x1000, encoded, &mut out);
        compare(&open(out.0), &memory, read * 0x1000);
    }
}
