// SPDX-License-Identifier: MIT OR Apache-2.0
//! Images that were cut off, in every format and at every kind of place: what is left is
//! read as it is in the whole image, and the rest is listed.

use crate::aff4_images::options;
use crate::memory::{fill, plan, ram, range, write};
use crate::outputs::VecOutput;
use crate::roundtrip::read;
use linpmem_formats::{
    Codec, ImagePlan, ImageReader, ImageWriter, ReadAt, Truncation, aff4, avml, elf, frames, kdump,
    lime, open_reader, raw,
};
use linpmem_phys::{Content, Errno, PhysRange};
use std::sync::Arc;

/// Two ranges and a gap; every third page is zero.
fn small() -> ImagePlan {
    plan(vec![ram(0x1000, 0x9000), ram(0x10000, 0x15000)])
}

fn written(plan: &ImagePlan, writer: &mut dyn ImageWriter, step: u64) -> Vec<u8> {
    let mut out = VecOutput::default();
    write(plan, writer, step, Codec::None, &mut out);
    out.0
}

fn dump(plan: &ImagePlan, step: u64) -> Vec<u8> {
    let mut writer = kdump::Writer::new(plan, kdump::Compression::Zlib).unwrap();
    written(plan, &mut writer, step)
}

/// The file that a flattened dump describes.
fn plain(flattened: Vec<u8>) -> Vec<u8> {
    let file = kdump::flattened::Reader::new(flattened).unwrap();
    let mut bytes = vec![0; usize::try_from(file.len()).unwrap()];
    file.read_exact_at(0, &mut bytes).unwrap();
    bytes
}

/// Every byte of the headers, every border of a page and its neighbours, and others.
fn cuts(len: usize) -> impl Iterator<Item = usize> {
    (0..len)
        .filter(move |cut| *cut < 700 || cut + 70 > len || cut % 89 == 0 || (cut + 33) % 4096 < 66)
}

/// What an image gives of a range, and what it lists as missing.
fn compared(whole: &dyn ImageReader, cut: &dyn ImageReader, range: PhysRange) -> u64 {
    let (expected, _) = read(whole, range);
    let (found, unreadable) = read(cut, range);
    let mut missing = 0;
    let mut next = range.start();
    let place = |addr: linpmem_phys::PhysAddr| {
        usize::try_from(addr.checked_sub(range.start()).unwrap().get()).unwrap()
    };
    for item in unreadable.as_slice() {
        assert!(
            [Truncation::ERRNO, Errno::ENXIO].contains(&item.errno),
            "{item:?}"
        );
        assert!(
            found[place(next)..place(item.range.start())]
                == expected[place(next)..place(item.range.start())]
        );
        assert!(
            found[place(item.range.start())..place(item.range.end())]
                .iter()
                .all(|&byte| byte == 0)
        );
        next = item.range.end();
        missing += item.range.len().get();
    }
    assert!(found[place(next)..] == expected[place(next)..], "{range}");
    missing
}

/// Opens what `open` makes of every beginning of `whole`. Returns how many of them open
/// without saying that they were cut off, and the length of the longest that does not.
fn cut_everywhere<I: ImageReader + ?Sized>(
    name: &str,
    whole: &[u8],
    open: &dyn Fn(Vec<u8>) -> Option<Box<I>>,
    lists_all: bool,
) -> (u64, usize) {
    let image = open(whole.to_vec()).unwrap();
    assert_eq!(image.truncation(), None, "{name}");
    let (mut silent, mut refused) = (0, 0);
    let mut before = u64::MAX;
    for len in cuts(whole.len()) {
        let Some(cut) = open(whole[..len].to_vec()) else {
            refused = len;
            continue;
        };
        let missing: u64 = image
            .ranges()
            .iter()
            .filter(|stored| stored.content == Content::Data)
            .map(|stored| compared(&erased(&*image), &erased(&*cut), stored.range))
            .sum();
        assert!(missing <= before, "{name}, {len}: less is left than before");
        before = missing;
        let Some(truncation) = cut.truncation() else {
            silent += 1;
            continue;
        };
        let words = truncation.to_string();
        assert!(cut.warnings().contains(&words), "{name}, {len}");
        let lost = Content::Unreadable {
            errno: Truncation::ERRNO,
        };
        let listed: u64 = cut
            .ranges()
            .iter()
            .filter(|stored| stored.content == lost)
            .map(|stored| stored.range.len().get())
            .sum();
        assert_eq!(truncation.missing.get(), listed, "{name}, {len}");
        if lists_all && !truncation.is_open_ended {
            assert_eq!(listed, missing, "{name}, {len}");
        }
    }
    (silent, refused)
}

/// An image behind a reference.
struct Erased<'a, I: ?Sized>(&'a I);

fn erased<I: ImageReader + ?Sized>(image: &I) -> Erased<'_, I> {
    Erased(image)
}

impl<I: ImageReader + ?Sized> linpmem_phys::ReadPhys for Erased<'_, I> {
    fn read_phys(
        &self,
        start: linpmem_phys::PhysAddr,
        buf: &mut [u8],
        unreadable: &mut linpmem_phys::Unreadables,
    ) -> Result<(), linpmem_phys::SourceError> {
        self.0.read_phys(start, buf, unreadable)
    }
}

impl<I: ImageReader + ?Sized> ImageReader for Erased<'_, I> {
    fn format(&self) -> linpmem_formats::Format {
        self.0.format()
    }
    fn ranges(&self) -> &[linpmem_formats::StoredRange] {
        self.0.ranges()
    }
    fn machine(&self) -> &linpmem_formats::MachineFacts {
        self.0.machine()
    }
    fn warnings(&self) -> &[String] {
        self.0.warnings()
    }
    fn truncation(&self) -> Option<linpmem_formats::Truncation> {
        self.0.truncation()
    }
}

fn reader(bytes: Vec<u8>) -> Option<Box<dyn ImageReader>> {
    open_reader(bytes).ok()
}

#[test]
fn a_core_lists_all_that_its_file_lacks() {
    let plan = small();
    let whole = written(&plan, &mut elf::Writer::new(&plan).unwrap(), 0x2000);
    let (silent, refused) = cut_everywhere("elf", &whole, &reader, true);
    // File header, the header of the notes, and most of that of the first segment.
    assert_eq!((silent, refused), (0, 64 + 2 * 56 - 1));
    let merging = elf::Writer::merging(&plan, linpmem_phys::PhysLen::new(1 << 20));
    let whole = written(&plan, &mut merging.unwrap(), 0x2000);
    let (silent, refused) = cut_everywhere("merged elf", &whole, &reader, true);
    assert_eq!((silent, refused), (0, 64 + 2 * 56 - 1));
}

#[test]
fn records_are_read_up_to_the_byte() {
    let plan = small();
    let whole = written(&plan, &mut lime::Writer::new(&plan).unwrap(), 0x2000);
    let (silent, refused) = cut_everywhere("lime", &whole, &reader, false);
    // A file that ends with the first record looks whole.
    assert_eq!((silent, refused), (1, 31));
    let whole = written(&plan, &mut avml::Writer::new(&plan), 0x2000);
    let (silent, refused) = cut_everywhere("avml", &whole, &reader, false);
    assert!(silent <= 6, "{silent}");
    assert_eq!(refused, 31);
}

#[test]
fn half_a_block_of_avml_is_read() {
    let plan = plan(vec![ram(0, 0x20_0000)]);
    let whole = written(&plan, &mut avml::Writer::new(&plan), 0x20_0000);
    let image = open_reader(whole[..whole.len() / 2].to_vec()).unwrap();
    let there = image.ranges()[0];
    assert_eq!(there.content, Content::Data);
    assert!(there.range.len().get() > 0xc_0000, "{}", there.range);
    let (found, unreadable) = read(&*image, there.range);
    assert!(unreadable.is_empty());
    let mut expected = vec![0; found.len()];
    fill(there.range.start(), &mut expected);
    assert!(found == expected);
}

#[test]
fn dumps_list_all_that_their_files_lack() {
    let plan = small();
    let flattened = dump(&plan, 0x2000);
    let whole = plain(flattened.clone());
    let (silent, refused) = cut_everywhere("kdump", &whole, &reader, true);
    // The bitmap of existing pages follows two blocks of headers.
    assert_eq!((silent, refused), (0, 0x2000));
    let (silent, _) = cut_everywhere("flattened kdump", &flattened, &reader, true);
    assert_eq!(silent, 0);
}

/// The bitmap of the pages that a dump holds follows the pages, and what can be read of an
/// interrupted dump depends on it.
#[test]
fn an_interrupted_dump_holds_what_was_written() {
    let plan = plan(vec![
        ram(0x1000, 0x300_0000),
        ram(0x1_0000_0000, 0x1_0180_0000),
    ]);
    let whole = dump(&plan, 0x10_0000);
    for tenths in 1..10 {
        let image = open_reader(whole[..whole.len() * tenths / 10].to_vec()).unwrap();
        let missing = image.truncation().unwrap().missing.get();
        let total = plan.total().get();
        let expected = total * (10 - u64::try_from(tenths).unwrap()) / 10;
        assert!(missing + (2 << 20) > expected, "{tenths}: {missing}");
        assert!(missing < expected + (11 << 20), "{tenths}: {missing}");
        for window in [range(0x1000, 0x9000), range(0x20_0000, 0x21_0000)] {
            let (found, unreadable) = read(&*image, window);
            if tenths > 2 {
                assert!(unreadable.is_empty());
                let mut expected = vec![0; found.len()];
                fill(window.start(), &mut expected);
                assert!(found == expected);
            }
        }
    }
}

#[test]
fn a_raw_image_lists_what_its_ranges_need() {
    let plan = small();
    for layout in [raw::Layout::Concatenated, raw::Layout::Padded] {
        let whole = written(&plan, &mut raw::Writer::new(&plan, layout), 0x2000);
        let open = |bytes| {
            let image = raw::Reader::new(bytes, plan.ranges(), layout).ok();
            image.map(|image| -> Box<dyn ImageReader> { Box::new(image) })
        };
        let (silent, refused) = cut_everywhere("raw", &whole, &open, true);
        assert_eq!((silent, refused), (0, 0));
    }
}

/// Of a compressed image, as much is there as can be decompressed.
#[test]
fn compressed_images_are_cut_within_their_frames() {
    let plan = small();
    let core = written(&plan, &mut elf::Writer::new(&plan).unwrap(), 0x2000);
    let records = written(&plan, &mut lime::Writer::new(&plan).unwrap(), 0x2000);
    let dump = plain(dump(&plan, 0x2000));
    let open = |bytes: Vec<u8>| {
        let frames = frames::Reader::new(bytes).ok()?;
        open_reader(Arc::new(frames)).ok()
    };
    for (name, image, lists_all) in [
        ("elf", core, true),
        ("lime", records, false),
        ("kdump", dump, true),
    ] {
        for codec in ["zstd", "lz4", "snappy"] {
            let mut whole = Vec::new();
            let mut frame = Vec::new();
            for piece in image.chunks(0x3000) {
                match codec {
                    "zstd" => frame = zstd::bulk::compress(piece, 1).unwrap(),
                    "lz4" => frames::encode_lz4(piece, &mut frame).unwrap(),
                    _ => frames::encode_snappy(piece, &mut frame).unwrap(),
                }
                whole.extend_from_slice(&frame);
            }
            let name = format!("{name} in {codec}");
            let (silent, refused) = cut_everywhere(&name, &whole, &open, lists_all);
            assert_eq!(silent, 0, "{name}");
            assert!(
                refused < whole.len() / 4,
                "{name}: {refused} of {}",
                whole.len()
            );
        }
    }
}

#[test]
fn the_last_frame_may_end_where_the_image_does() {
    let plan = small();
    let core = written(&plan, &mut elf::Writer::new(&plan).unwrap(), 0x2000);
    let frame = zstd::bulk::compress(&core, 1).unwrap();
    let table = frames::seek_table(&[frames::ZstdFrame {
        compressed_bytes: u32::try_from(frame.len()).unwrap(),
        content_bytes: u32::try_from(core.len()).unwrap(),
    }]);
    let whole = [frame.as_slice(), &table].concat();
    for len in frame.len() + 1..whole.len() {
        let reader = frames::Reader::new(&whole[..len]).unwrap();
        assert_eq!(reader.len(), ReadAt::len(&core));
        let image = elf::Reader::new(reader).unwrap();
        let truncation = image.truncation().unwrap();
        assert_eq!((truncation.missing.get(), truncation.first), (0, None));
        assert!(
            truncation
                .to_string()
                .contains("all memory that it lists is there")
        );
    }
}

#[test]
fn a_volume_that_was_cut_off_gives_its_complete_segments() {
    let plan = plan(vec![ram(0x1000, 0x6_0000), ram(0x10_0000, 0x18_0000)]);
    let options = aff4::Options {
        chunks_in_segment: 4,
        ..options(aff4::Compression::Lz4)
    };
    let whole = written(
        &plan,
        &mut aff4::Writer::new(&plan, options).unwrap(),
        0x2_0000,
    );
    let image = open_reader(whole.clone()).unwrap();
    let mut most = u64::MAX;
    let places = (0..whole.len()).step_by(whole.len() / 150);
    for len in places.chain((whole.len() - 3000..whole.len()).step_by(41)) {
        let Ok(cut) = open_reader(whole[..len].to_vec()) else {
            assert!(len < 10_000, "{len}");
            continue;
        };
        let truncation = cut.truncation().unwrap();
        assert!(cut.warnings().contains(&truncation.to_string()), "{len}");
        let missing: u64 = plan
            .ranges()
            .iter()
            .map(|planned| compared(&*image, &*cut, planned.range))
            .sum();
        assert_eq!(truncation.missing.get(), missing, "{len}");
        assert!(missing <= most, "{len}");
        most = missing;
    }
    assert_eq!(most, 0);
}
