// SPDX-License-Identifier: MIT OR Apache-2.0
//! Images of many small ranges: what reading one costs is in proportion to its bytes.

use crate::aff4_images::options;
use crate::memory::{fill, scattered, write};
use crate::outputs::{VecOutput, ZstdOutput};
use linpmem_formats::{
    Codec, ImagePlan, ImageReader, ImageWriter, ReadAt, aff4, avml, elf, frames, kdump, lime,
    open_reader,
};
use linpmem_phys::Unreadables;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A file, and how many bytes were read from it.
#[derive(Clone)]
struct Counted {
    bytes: Arc<Vec<u8>>,
    read: Arc<AtomicU64>,
}

impl Counted {
    fn new(bytes: Vec<u8>) -> Self {
        Self {
            bytes: Arc::new(bytes),
            read: Arc::default(),
        }
    }

    fn read(&self) -> u64 {
        self.read.swap(0, Ordering::Relaxed)
    }
}

impl ReadAt for Counted {
    fn len(&self) -> u64 {
        ReadAt::len(&*self.bytes)
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let len = u64::try_from(buf.len()).unwrap();
        self.read.fetch_add(len, Ordering::Relaxed);
        self.bytes.read_exact_at(offset, buf)
    }
}

const PAGES: u64 = 800;

fn written(plan: &ImagePlan, writer: &mut dyn ImageWriter) -> Vec<u8> {
    let mut out = VecOutput::default();
    write(plan, writer, 0x1000, Codec::None, &mut out);
    out.0
}

fn flattened(plan: &ImagePlan, compression: kdump::Compression) -> Vec<u8> {
    written(plan, &mut kdump::Writer::new(plan, compression).unwrap())
}

/// The dump that a flattened stream describes.
fn plain(stream: Vec<u8>) -> Vec<u8> {
    let file = kdump::flattened::Reader::new(stream).unwrap();
    let mut bytes = vec![0; usize::try_from(file.len()).unwrap()];
    file.read_exact_at(0, &mut bytes).unwrap();
    bytes
}

/// Every format of which a reader has an index, by name. Each holds the same pages.
fn images() -> Vec<(&'static str, Counted)> {
    let plan = scattered(PAGES);
    let zlib = || flattened(&plan, kdump::Compression::Zlib);
    let none = flattened(&plan, kdump::Compression::None);
    let elf = written(&plan, &mut elf::Writer::new(&plan).unwrap());
    let lime = written(&plan, &mut lime::Writer::new(&plan).unwrap());
    let avml = written(&plan, &mut avml::Writer::new(&plan));
    let options = options(aff4::Compression::Snappy);
    let aff4 = written(&plan, &mut aff4::Writer::new(&plan, options).unwrap());
    let mut out = ZstdOutput::default();
    let codec = Codec::Zstd { level: 1 };
    write(
        &plan,
        &mut elf::Writer::new(&plan).unwrap(),
        0x1000,
        codec,
        &mut out,
    );
    let zstd = out.into_file(true);
    let images = vec![
        ("kdump", plain(zlib())),
        ("kdump, not compressed", plain(none)),
        ("flattened kdump", zlib()),
        ("ELF", elf),
        ("LiME", lime),
        ("AVML", avml),
        ("AFF4", aff4),
        ("ELF in zstd frames", zstd),
    ];
    images
        .into_iter()
        .map(|(name, bytes)| (name, Counted::new(bytes)))
        .collect()
}

fn open(name: &str, file: &Counted) -> Box<dyn ImageReader> {
    match name.contains("frames") {
        true => open_reader(frames::Reader::new(file.clone()).unwrap()).unwrap(),
        false => open_reader(file.clone()).unwrap(),
    }
}

fn check(image: &dyn ImageReader, index: usize) {
    let range = image.ranges()[index].range;
    let mut page = vec![0xee; 0x1000];
    let mut expected = page.clone();
    let mut unreadable = Unreadables::new();
    image
        .read_phys(range.start(), &mut page, &mut unreadable)
        .unwrap();
    fill(range.start(), &mut expected);
    assert!(page == expected && unreadable.is_empty(), "{range}");
}

#[test]
fn what_is_read_in_order_is_read_once() {
    for (name, file) in images() {
        let image = open(name, &file);
        let opened = file.read();
        assert!(opened <= file.len() * 2, "{name}: {opened} bytes to open");
        let pages = u64::try_from(image.ranges().len()).unwrap();
        assert_eq!(pages, PAGES, "{name}");
        for index in 0..image.ranges().len() {
            check(&*image, index);
        }
        let (read, limit) = (file.read(), file.len() * 5 / 4);
        assert!(read <= limit, "{name}: {read} bytes of {}", file.len());
    }
}

#[test]
fn what_is_read_out_of_order_takes_few_bytes_each() {
    // A little more than a chunk of AFF4.
    const MOST: u64 = 36 << 10;
    for (name, file) in images() {
        let image = open(name, &file);
        file.read();
        let count = image.ranges().len();
        let mut index = 1;
        for _ in 0..count / 4 {
            // The next one is always far away.
            index = (index + 1597) % count;
            check(&*image, index);
        }
        let each = file.read() / (PAGES / 4);
        assert!(each <= MOST, "{name}: {each} bytes for each page");
    }
}
