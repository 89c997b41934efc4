// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is read is what was written.

use crate::memory::{fill, range, write};
use crate::outputs::{VecOutput, ZstdOutput};
use linpmem_formats::{
    Codec, CoreNote, FileSource, ImagePlan, ImageReader, ImageWriter, MachineFacts, PlannedRange,
    elf, frames, open_image, raw,
};
use linpmem_kinfo::layout::Architecture;
use linpmem_phys::{Content, PhysAddr, PhysLen, PhysRange, RegionKind, Unreadables};
use proptest::collection::vec;
use proptest::prelude::*;

fn kinds() -> impl Strategy<Value = RegionKind> {
    prop_oneof![
        Just(RegionKind::SystemRam),
        Just(RegionKind::Reserved),
        Just(RegionKind::AcpiTables),
        Just(RegionKind::AcpiNonVolatile),
        Just(RegionKind::SoftReserved),
        Just(RegionKind::PersistentMemory),
        Just(RegionKind::Unusable),
        Just(RegionKind::Rom),
        Just(RegionKind::Device),
        Just(RegionKind::Hole),
    ]
}

fn machines() -> impl Strategy<Value = MachineFacts> {
    prop_oneof![Just(Architecture::X86_64), Just(Architecture::Aarch64)].prop_flat_map(machine)
}

fn machine(architecture: Architecture) -> impl Strategy<Value = MachineFacts> {
    // With 52 bits of virtual addresses, that of address 0 is below the kernel's half.
    let lowest = match architecture {
        Architecture::Aarch64 => 0xffef_ff00_u64,
        _ => 0xffff_8880,
    };
    let base = prop_oneof![
        Just(None),
        (lowest..0xffff_c000).prop_map(|high| Some(high << 32))
    ];
    let levels = prop_oneof![Just(None), (2..=5_u32).prop_map(Some)];
    let text = prop_oneof![Just(None), vec(any::<u8>(), 0..3000).prop_map(Some)];
    (text, base, levels, vec(note(architecture), 0..4)).prop_map(
        move |(vmcoreinfo, direct_map_base, paging_levels, notes)| MachineFacts {
            architecture: Some(architecture),
            vmcoreinfo,
            direct_map_base,
            paging_levels,
            notes,
        },
    )
}

/// The registers of a processor, and what QEMU and others know.
fn note(architecture: Architecture) -> impl Strategy<Value = CoreNote> {
    let note = |name: &[u8], kind| (Just(name.to_vec()), Just(kind));
    let registers = (
        note(b"CORE", 1),
        vec(any::<u8>(), architecture.registers_bytes()),
    );
    let qemu = (note(b"QEMU", 0), vec(any::<u8>(), 432));
    let other = (note(b"X", 77), vec(any::<u8>(), 0..10));
    prop_oneof![registers, qemu, other].prop_map(|((name, kind), content)| CoreNote {
        name,
        kind,
        content,
    })
}

/// Ranges of up to 12 pages, some adjacent, from page `lowest` on.
pub fn plans(lowest: std::ops::Range<u64>) -> impl Strategy<Value = ImagePlan> {
    let gaps = prop_oneof![Just(0_u64), 1..20_u64];
    (lowest, vec((gaps, 1..12_u64, kinds()), 1..12), machines()).prop_map(
        |(mut page, list, machine)| {
            let ranges = list.into_iter().map(|(gap, pages, kind)| {
                let start = page + gap;
                page = start + pages;
                PlannedRange {
                    range: range(start << 12, page << 12),
                    kind,
                }
            });
            ImagePlan::new(ranges.collect(), machine).unwrap()
        },
    )
}

/// The ranges, kinds and bytes of the image are those of the plan.
fn check(plan: &ImagePlan, writer: &dyn ImageWriter, image: &dyn ImageReader) {
    assert_eq!(image.ranges().len(), plan.ranges().len());
    for (index, (stored, planned)) in image.ranges().iter().zip(plan.ranges()).enumerate() {
        assert_eq!(stored.range, planned.range);
        assert_eq!(stored.kind, Some(planned.kind));
        assert_eq!(stored.content, Content::Data);
        assert_eq!(stored.offset, writer.data_offset(index));
        let (found, unreadable) = read(image, planned.range);
        assert!(unreadable.is_empty());
        let mut expected = vec![0; found.len()];
        fill(planned.range.start(), &mut expected);
        assert!(found == expected, "{} differs", planned.range);
    }
}

pub fn read(image: &dyn ImageReader, range: PhysRange) -> (Vec<u8>, Unreadables) {
    let mut buf = vec![0xee; usize::try_from(range.len().get()).unwrap()];
    let mut unreadable = Unreadables::new();
    image
        .read_phys(range.start(), &mut buf, &mut unreadable)
        .unwrap();
    (buf, unreadable)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(96) })]

    #[test]
    fn an_elf_core_gives_back_ranges_kinds_bytes_and_facts(
        plan in plans(0..0x10_0000),
        step in 1..5_u64,
    ) {
        let mut writer = elf::Writer::new(&plan).unwrap();
        let mut out = VecOutput::default();
        write(&plan, &mut writer, step << 12, Codec::None, &mut out);
        let image = elf::Reader::new(out.0).unwrap();
        check(&plan, &writer, &image);
        prop_assert_eq!(image.machine(), plan.machine());
        prop_assert_eq!(image.warnings().len(), 0);
    }

    #[test]
    fn merged_segments_give_back_ranges_and_no_gaps(
        plan in plans(0..0x10_0000),
        gap in 0..20_u64,
        step in 1..5_u64,
    ) {
        let mut writer = elf::Writer::merging(&plan, PhysLen::new(gap << 12)).unwrap();
        let mut out = VecOutput::default();
        write(&plan, &mut writer, step << 12, Codec::None, &mut out);
        let image = elf::Reader::new(out.0).unwrap();
        let mut held = image
            .ranges()
            .iter()
            .filter(|stored| stored.content == Content::Data);
        for (index, planned) in plan.ranges().iter().enumerate() {
            let stored = held.next().unwrap();
            prop_assert_eq!((stored.range, stored.kind), (planned.range, Some(planned.kind)));
            prop_assert_eq!(stored.offset, writer.data_offset(index));
            let (found, unreadable) = read(&image, planned.range);
            prop_assert!(unreadable.is_empty());
            let mut expected = vec![0; found.len()];
            fill(planned.range.start(), &mut expected);
            prop_assert!(found == expected);
        }
        prop_assert_eq!(held.next(), None);
    }

    #[test]
    fn artifacts_in_a_core_come_back_and_move_nothing_else(
        plan in plans(0..64),
        archive in vec(any::<u8>(), 0..9000),
    ) {
        let source = std::sync::Arc::new(archive.clone());
        let mut writer = elf::Writer::with_artifacts(&plan, PhysLen::ZERO, source).unwrap();
        let mut out = VecOutput::default();
        write(&plan, &mut writer, 0x3000, Codec::None, &mut out);
        let image = elf::Reader::new(out.0.as_slice()).unwrap();
        prop_assert!(image.warnings().is_empty());
        let (offset, len) = image.artifacts().unwrap();
        let offset = usize::try_from(offset).unwrap();
        prop_assert_eq!(len, u64::try_from(archive.len()).unwrap());
        prop_assert_eq!(&out.0[offset..offset + archive.len()], archive);
        prop_assert_eq!(image.machine().vmcoreinfo.as_ref(), plan.machine().vmcoreinfo.as_ref());
        check(&plan, &writer, &image);
    }

    /// The archive is not there before the memory is written, or at all.
    #[test]
    fn artifacts_behind_the_memory_come_back_and_move_nothing_else(
        plan in plans(0..64),
        archive in prop::option::of(vec(any::<u8>(), 1..9000)),
        gap in 0..3_u64,
    ) {
        let (tail, late) = (elf::Tail::default(), elf::Tail::default());
        let gap = PhysLen::new(gap << 12);
        let mut without = elf::Writer::with_tail(&plan, gap, tail.clone()).unwrap();
        let mut bare = VecOutput::default();
        write(&plan, &mut without, 0x3000, Codec::None, &mut bare);
        let mut writer = elf::Writer::with_tail(&plan, gap, late.clone()).unwrap();
        if let Some(archive) = &archive {
            late.set(std::sync::Arc::new(archive.clone()));
        }
        let mut out = VecOutput::default();
        write(&plan, &mut writer, 0x3000, Codec::None, &mut out);
        let image = elf::Reader::new(out.0.as_slice()).unwrap();
        prop_assert!(image.warnings().is_empty());
        prop_assert!(image.machine().notes == plan.machine().notes);
        prop_assert!(out.0.starts_with(&bare.0));
        let end = u64::try_from(bare.0.len()).unwrap();
        match archive {
            None => prop_assert_eq!(image.artifacts(), None),
            Some(archive) => {
                let len = u64::try_from(archive.len()).unwrap();
                prop_assert_eq!(image.artifacts(), Some((end, len)));
                prop_assert!(out.0.ends_with(&archive));
            }
        }
        let merged = elf::Writer::merging(&plan, gap).unwrap();
        prop_assert_eq!(merged.segments(), writer.segments());
        if gap == PhysLen::ZERO {
            check(&plan, &writer, &image);
        }
    }

    #[test]
    fn a_raw_image_gives_back_bytes_to_who_knows_its_ranges(
        plan in plans(0..64),
        step in 1..5_u64,
        padded in any::<bool>(),
    ) {
        let layout = if padded { raw::Layout::Padded } else { raw::Layout::Concatenated };
        let mut writer = raw::Writer::new(&plan, layout);
        let mut out = VecOutput::default();
        write(&plan, &mut writer, step << 12, Codec::None, &mut out);
        let image = raw::Reader::new(out.0.as_slice(), plan.ranges(), layout).unwrap();
        check(&plan, &writer, &image);
        if padded {
            let whole = raw::Reader::padded(out.0.as_slice()).unwrap();
            for planned in plan.ranges() {
                prop_assert_eq!(read(&whole, planned.range), read(&image, planned.range));
            }
        }
    }

    #[test]
    fn slice_file_and_compressed_file_read_the_same(
        plan in plans(0..64),
        with_table in any::<bool>(),
        windows in vec((0..0xa_0000_u64, 1..0x8000_u64), 8),
    ) {
        let codec = Codec::Zstd { level: 1 };
        let mut out = ZstdOutput::default();
        write(&plan, &mut elf::Writer::new(&plan).unwrap(), 0x3000, codec, &mut out);
        let packed = out.into_file(with_table);
        let mut out = VecOutput::default();
        write(&plan, &mut elf::Writer::new(&plan).unwrap(), 0x3000, Codec::None, &mut out);

        let folder = tempfile::tempdir().unwrap();
        let (plain_path, packed_path) = (folder.path().join("a"), folder.path().join("b"));
        std::fs::write(&plain_path, &out.0).unwrap();
        std::fs::write(&packed_path, &packed).unwrap();
        let slice = elf::Reader::new(out.0.as_slice()).unwrap();
        let images: [Box<dyn ImageReader>; 4] = [
            Box::new(elf::Reader::new(FileSource::open(&plain_path).unwrap()).unwrap()),
            Box::new(elf::Reader::new(frames::Reader::new(packed).unwrap()).unwrap()),
            open_image(&plain_path).unwrap(),
            open_image(&packed_path).unwrap(),
        ];
        for image in images {
            prop_assert_eq!(image.ranges(), slice.ranges());
            prop_assert_eq!(image.machine(), slice.machine());
            for &(start, len) in &windows {
                let window = PhysRange::from_len(PhysAddr::new(start), PhysLen::new(len)).unwrap();
                prop_assert_eq!(read(&*image, window), read(&slice, window));
            }
        }
    }
}
