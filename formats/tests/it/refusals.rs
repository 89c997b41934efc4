// SPDX-License-Identifier: MIT OR Apache-2.0
//! Writers fail where they would otherwise write something wrong.

use crate::aff4_images::options;
use crate::memory::{plan, ram, range};
use crate::outputs::VecOutput;
use bytes::Bytes;
use linpmem_formats::{
    Chunk, ImagePlan, ImageWriter, MachineFacts, WriteError, aff4, avml, elf, kdump, lime,
};
use linpmem_phys::{Errno, PhysAddr, Unreadable};

static PAGE: [u8; 0x1000] = [7; 0x1000];

fn one_page() -> ImagePlan {
    plan(vec![ram(0x1000, 0x2000)])
}

fn with_machine(machine: MachineFacts) -> ImagePlan {
    ImagePlan::new(vec![ram(0x1000, 0x2000)], machine).unwrap()
}

fn page<'a>(frame: Option<&[u8]>, unreadable: &'a [Unreadable]) -> Chunk<'a> {
    let data = Bytes::from_static(&PAGE);
    Chunk::new(PhysAddr::new(0x1000), data, unreadable)
        .with_frame(frame.map(Bytes::copy_from_slice))
}

fn write(mut writer: impl ImageWriter, chunk: &Chunk<'_>) -> Result<(), WriteError> {
    let mut out = VecOutput::default();
    writer.begin(&mut out)?;
    writer.chunk(chunk, &mut out)?;
    writer.finish(&mut out)
}

#[test]
fn frames_that_another_encoder_made() {
    let plan = one_page();
    let zstd = zstd::bulk::compress(&PAGE, 1).unwrap();
    for frame in [&zstd[..], b"", &PAGE[..100]] {
        let chunk = page(Some(frame), &[]);
        let image = aff4::Writer::new(&plan, options(aff4::Compression::Snappy)).unwrap();
        assert!(matches!(write(image, &chunk), Err(WriteError::Misuse(_))));
        let image = kdump::Writer::new(&plan, kdump::Compression::Zlib).unwrap();
        assert!(matches!(write(image, &chunk), Err(WriteError::Misuse(_))));
    }
    let empty = write(avml::Writer::new(&plan), &page(Some(b""), &[]));
    assert!(matches!(empty, Err(WriteError::Misuse(_))));
}

#[test]
fn unreadable_pages_of_another_chunk() {
    let plan = one_page();
    for (start, end) in [(0, 0x1000), (0, 0x2000), (0x1800, 0x2800)] {
        let unreadable = [Unreadable {
            range: range(start, end),
            errno: Errno::EIO,
        }];
        let chunk = page(None, &unreadable);
        let image = aff4::Writer::new(&plan, options(aff4::Compression::Snappy)).unwrap();
        assert!(matches!(write(image, &chunk), Err(WriteError::Misuse(_))));
        let image = lime::Writer::new(&plan).unwrap();
        assert!(matches!(write(image, &chunk), Err(WriteError::Misuse(_))));
    }
}

#[test]
fn facts_that_their_fields_cannot_hold() {
    let levels = with_machine(MachineFacts {
        paging_levels: Some(65_536),
        ..MachineFacts::default()
    });
    let result = write(elf::Writer::new(&levels).unwrap(), &page(None, &[]));
    assert!(matches!(result, Err(WriteError::Misuse(_))));
    let text = |bytes| {
        with_machine(MachineFacts {
            vmcoreinfo: Some(vec![b'x'; bytes]),
            ..MachineFacts::default()
        })
    };
    let largest = kdump::Writer::new(&text(1 << 20), kdump::Compression::None).unwrap();
    write(largest, &page(None, &[])).unwrap();
    let result = kdump::Writer::new(&text((1 << 20) + 1), kdump::Compression::None);
    assert!(matches!(result, Err(WriteError::Unsupported(_))));
}
