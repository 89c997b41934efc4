// SPDX-License-Identifier: MIT OR Apache-2.0
//! Kdump-compressed images of kernels with pages of 16 and 64 KiB (arm64): a block of the
//! dump is a page of the kernel.

use crate::hostile::exercise;
use crate::memory::{fill, ram, range, write};
use crate::outputs::VecOutput;
use crate::roundtrip::read;
use linpmem_formats::{
    Chunk, Codec, ImagePlan, ImageReader, ImageWriter, MachineFacts, PlannedRange, ReadAt, kdump,
    kdump::flattened, open_reader,
};
use linpmem_phys::{Errno, PhysRange, Unreadable};

const SIZES: [u64; 2] = [16 << 10, 64 << 10];

fn plan(page: u64, ranges: Vec<PlannedRange>) -> ImagePlan {
    let text =
        format!("OSRELEASE=7.3.4\nPAGESIZE={page}\nNUMBER(kimage_voffset)=0xffff800040000000\n");
    let machine = MachineFacts {
        vmcoreinfo: Some(text.into_bytes()),
        ..MachineFacts::default()
    };
    ImagePlan::new(ranges, machine).unwrap()
}

/// Three pages, and one beyond a gap.
fn small(page: u64) -> ImagePlan {
    plan(page, vec![ram(page, 4 * page), ram(8 * page, 9 * page)])
}

/// The plain dump, as `makedumpfile -R` makes it from the stream.
fn dump(stream: Vec<u8>) -> Vec<u8> {
    let flattened = flattened::Reader::new(stream).unwrap();
    let mut bytes = vec![0; usize::try_from(flattened.len()).unwrap()];
    flattened.read_exact_at(0, &mut bytes).unwrap();
    bytes
}

fn stream(plan: &ImagePlan, compression: kdump::Compression, step: u64) -> Vec<u8> {
    let mut out = VecOutput::default();
    let mut writer = kdump::Writer::new(plan, compression).unwrap();
    write(plan, &mut writer, step, Codec::None, &mut out);
    out.0
}

fn expected(range: PhysRange) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(range.len().get()).unwrap()];
    fill(range.start(), &mut bytes);
    bytes
}

#[test]
fn pages_of_every_size_come_back_from_every_compression() {
    for page in SIZES {
        for compression in ["none", "zlib", "snappy", "zstd"] {
            let plan = small(page);
            let bytes = dump(stream(&plan, compression.parse().unwrap(), 2 * page));
            let block = u32::try_from(page).unwrap();
            assert_eq!(bytes[428..432], block.to_le_bytes());
            // The sub-header has the index of the page after the last.
            let at = usize::try_from(page).unwrap() + 96;
            assert_eq!(bytes[at..at + 8], 9_u64.to_le_bytes());
            let image = kdump::Reader::new(bytes).unwrap();
            assert!(image.warnings().is_empty(), "{:?}", image.warnings());
            let found: Vec<_> = image.ranges().iter().map(|stored| stored.range).collect();
            let planned: Vec<_> = plan.ranges().iter().map(|planned| planned.range).collect();
            assert_eq!(found, planned, "{page} {compression}");
            // Within pages as well.
            let odd = range(page + 0x1234, 3 * page + 0x2345);
            for range in planned.into_iter().chain([odd]) {
                let (found, unreadable) = read(&image, range);
                assert!(unreadable.is_empty(), "{page} {compression} {range}");
                assert!(found == expected(range), "{page} {compression} {range}");
            }
        }
    }
}

#[test]
fn a_page_counts_as_unreadable_if_all_of_it_is() {
    for page in SIZES {
        let plan = plan(page, vec![ram(page, 4 * page)]);
        let whole = plan.ranges()[0].range;
        // A page, the beginning of one and the end of one.
        let bad = [
            range(page, 2 * page),
            range(2 * page, 2 * page + 0x1000),
            range(3 * page + 0x1000, 4 * page),
        ];
        let bad = bad.map(|range| Unreadable {
            range,
            errno: Errno::EIO,
        });
        let mut out = VecOutput::default();
        let mut writer = kdump::Writer::new(&plan, kdump::Compression::Zlib).unwrap();
        writer.begin(&mut out).unwrap();
        let mut data = expected(whole);
        let at = |addr: u64| usize::try_from(addr - page).unwrap();
        data[at(2 * page)..at(2 * page + 0x1000)].fill(0);
        data[at(3 * page + 0x1000)..].fill(0);
        let chunk = Chunk::new(whole.start(), data.clone().into(), &bad);
        writer.chunk(&chunk, &mut out).unwrap();
        writer.finish(&mut out).unwrap();
        let image = open_reader(out.0).unwrap();
        let (found, unreadable) = read(&*image, whole);
        let [lost] = unreadable.as_slice() else {
            panic!("{unreadable:?}");
        };
        assert_eq!(lost.range, range(page, 2 * page));
        let held = usize::try_from(page).unwrap();
        assert!(found[held..] == data[held..], "{page}");
    }
}

#[test]
fn a_dump_that_was_cut_off_gives_the_pages_that_are_left() {
    for page in SIZES {
        let whole = dump(stream(&small(page), kdump::Compression::None, page));
        let len = u64::try_from(whole.len()).unwrap();
        // Without the last page, which is stored last.
        let cut = whole[..usize::try_from(len - page).unwrap()].to_vec();
        let image = kdump::Reader::new(cut).unwrap();
        assert!(image.truncation().is_some());
        let first = range(page, 4 * page);
        let (found, unreadable) = read(&image, first);
        assert!(unreadable.is_empty() && found == expected(first), "{page}");
        let (_, unreadable) = read(&image, range(8 * page, 9 * page));
        assert_eq!(unreadable.as_slice().len(), 1, "{page}");
        for cut in (0..len).step_by(4096 + 123) {
            let cut = whole[..usize::try_from(cut).unwrap()].to_vec();
            let _ = open_reader(cut).map(|image| exercise(&*image));
        }
    }
}

#[test]
fn memory_that_is_not_whole_pages_of_the_kernel_is_refused() {
    for page in SIZES {
        for (start, end) in [(page, 2 * page + 0x1000), (page + 0x1000, 2 * page)] {
            let odd = plan(page, vec![ram(start, end)]);
            let error = kdump::Writer::new(&odd, kdump::Compression::Zlib).unwrap_err();
            let error = error.to_string();
            assert!(error.contains("whole pages of this kernel"), "{error}");
            assert!(error.contains("--format elf"), "{error}");
        }
    }
    // No kernel has these.
    for page in [8 << 10, 1 << 20] {
        let odd = plan(page, vec![ram(0, 1 << 20)]);
        let error = kdump::Writer::new(&odd, kdump::Compression::Zlib).unwrap_err();
        assert!(error.to_string().contains("4, 16 or 64 KiB"), "{error}");
    }
}
