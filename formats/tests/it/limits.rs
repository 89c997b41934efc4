// SPDX-License-Identifier: MIT OR Apache-2.0
//! Both sides of every limit.

use crate::memory::{fill, plan, ram, scattered, write};
use crate::outputs::{CountingOutput, SparseOutput, VecOutput};
use linpmem_formats::{
    Chunk, Codec, FileSource, ImageOutput, ImagePlan, ImageReader, ImageWriter, MachineFacts,
    PlanError, elf, raw,
};
use linpmem_phys::{PhysAddr, PhysLen, ReadPhys, Unreadables};
use std::fs::File;

fn page_at(image: &dyn ReadPhys, start: u64) -> Vec<u8> {
    let mut page = vec![0xee; 0x1000];
    let mut unreadable = Unreadables::new();
    image
        .read_phys(PhysAddr::new(start), &mut page, &mut unreadable)
        .unwrap();
    assert!(unreadable.is_empty(), "{start:#x} is not in the image");
    page
}

fn expected(start: u64) -> Vec<u8> {
    let mut page = vec![0; 0x1000];
    fill(PhysAddr::new(start), &mut page);
    page
}

/// e_phnum and e_shnum in the file.
fn counts(file: &File) -> (u16, u16) {
    use std::os::unix::fs::FileExt;
    let mut header = [0; 64];
    file.read_exact_at(&mut header, 0).unwrap();
    let field = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
    (field(56), field(60))
}

#[test]
fn an_image_needs_a_range() {
    let error = ImagePlan::new(Vec::new(), MachineFacts::default()).unwrap_err();
    assert_eq!(error, PlanError::Empty);
}

#[test]
fn from_one_range_to_more_than_e_phnum_can_count() {
    for (ranges, phnum, shnum) in [
        (1, 2, 0),
        (65_533, 65_534, 0),
        (65_534, 0xffff, 1),
        (65_535, 0xffff, 1),
        (70_000, 0xffff, 1),
    ] {
        let plan = scattered(ranges);
        let mut writer = elf::Writer::new(&plan).unwrap();
        let mut out = SparseOutput::new(tempfile::tempfile().unwrap());
        write(&plan, &mut writer, 0x1000, Codec::None, &mut out);
        let file = out.into_file();
        assert_eq!(counts(&file), (phnum, shnum), "{ranges} ranges");
        let image = elf::Reader::new(FileSource::new(file).unwrap()).unwrap();
        assert_eq!(u64::try_from(image.ranges().len()).unwrap(), ranges);
        assert!(
            image
                .ranges()
                .iter()
                .zip(plan.ranges())
                .all(|(stored, planned)| stored.range == planned.range
                    && stored.kind == Some(planned.kind))
        );
        for index in [0, ranges / 2, ranges - 1] {
            assert_eq!(page_at(&image, index * 0x2000), expected(index * 0x2000));
        }
    }
}

#[test]
fn ranges_at_2_and_4_gib_and_at_the_last_page() {
    const GIB: u64 = 1 << 30;
    const TOP: u64 = 1 << 52;
    let borders = [2 * GIB, 4 * GIB, 8 * GIB];
    let mut ranges = vec![ram(0, 0x1000)];
    // Up to the limit, across it, and from it on.
    ranges.extend(borders.map(|border| ram(border - 0x1000, border + 0x1000)));
    ranges.push(ram(16 * GIB - 0x1000, 16 * GIB));
    ranges.push(ram(32 * GIB, 32 * GIB + 0x1000));
    ranges.push(ram(TOP - 0x1000, TOP));
    let plan = plan(ranges);
    let mut out = VecOutput::default();
    write(
        &plan,
        &mut elf::Writer::new(&plan).unwrap(),
        0x1000,
        Codec::None,
        &mut out,
    );
    let elf = elf::Reader::new(out.0).unwrap();
    let mut out = VecOutput::default();
    let layout = raw::Layout::Concatenated;
    write(
        &plan,
        &mut raw::Writer::new(&plan, layout),
        0x1000,
        Codec::None,
        &mut out,
    );
    let raw = raw::Reader::new(out.0, plan.ranges(), layout).unwrap();
    for planned in plan.ranges() {
        for page in planned.range.pieces(PhysLen::new(0x1000)) {
            let start = page.start().get();
            assert_eq!(page_at(&elf, start), expected(start));
            assert_eq!(page_at(&raw, start), expected(start));
        }
    }
    // A padded image has holes, here nearly 4 PiB of them.
    let mut writer = raw::Writer::new(&plan, raw::Layout::Padded);
    let mut out = CountingOutput::default();
    write(&plan, &mut writer, 0x1000, Codec::None, &mut out);
    assert_eq!(out.position(), TOP);
}

/// Writes zeros from 1 GiB to 7 GiB, except for the last page.
fn write_six_gib(writer: &mut dyn ImageWriter, plan: &ImagePlan, out: &mut dyn ImageOutput) {
    // As much as can be known to be zero, so that the file stays sparse.
    const STEP: u64 = 1 << 20;
    let zeros = bytes::Bytes::from(vec![0; usize::try_from(STEP).unwrap()]);
    let last = bytes::Bytes::from(expected(0x1_bfff_f000));
    writer.begin(out).unwrap();
    for planned in plan.ranges() {
        for piece in planned.range.pieces(PhysLen::new(STEP)) {
            let whole = usize::try_from(piece.len().get()).unwrap();
            let data = if whole == last.len() {
                last.clone()
            } else {
                zeros.slice(..whole)
            };
            let chunk = Chunk::new(piece.start(), data, &[]);
            writer.chunk(&chunk, out).unwrap();
        }
    }
    writer.finish(out).unwrap();
}

#[test]
fn images_above_4_gib_keep_their_offsets() {
    let plan = plan(vec![
        ram(0x4000_0000, 0x1_bfff_f000),
        ram(0x1_bfff_f000, 0x1_c000_0000),
    ]);
    let mut out = SparseOutput::new(tempfile::tempfile().unwrap());
    let mut writer = elf::Writer::new(&plan).unwrap();
    write_six_gib(&mut writer, &plan, &mut out);
    assert_eq!(out.position(), 0x1000 + (6 << 30));
    assert_eq!(writer.data_offset(1), Some(6 << 30));
    let image = elf::Reader::new(FileSource::new(out.into_file()).unwrap()).unwrap();
    assert_eq!(page_at(&image, 0x1_bfff_f000), expected(0x1_bfff_f000));
    assert_eq!(page_at(&image, 0x1_4000_0000), vec![0; 0x1000]);

    for (layout, end) in [
        (raw::Layout::Padded, 7 << 30),
        (raw::Layout::Concatenated, 6 << 30),
    ] {
        let mut out = SparseOutput::new(tempfile::tempfile().unwrap());
        write_six_gib(&mut raw::Writer::new(&plan, layout), &plan, &mut out);
        assert_eq!(out.position(), end);
        let source = FileSource::new(out.into_file()).unwrap();
        let image = raw::Reader::new(source, plan.ranges(), layout).unwrap();
        assert_eq!(page_at(&image, 0x1_bfff_f000), expected(0x1_bfff_f000));
    }
}
