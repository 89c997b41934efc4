// SPDX-License-Identifier: MIT OR Apache-2.0
//! Damaged and forged files give an error, in limited time and memory.

use crate::dialects::{LOAD, NOTE, Segment, core, load};
use crate::memory::{plan, ram, write};
use crate::outputs::{VecOutput, ZstdOutput};
use linpmem_formats::{Codec, ImageReader, OpenError, ReadAt, elf, frames, open_reader};
use linpmem_phys::Unreadables;
use proptest::collection::vec;
use proptest::prelude::*;
use std::io;
use std::sync::Mutex;

fn elf() -> Vec<u8> {
    let plan = plan(vec![ram(0x1000, 0x3000), ram(0x8000, 0x9000)]);
    let mut out = VecOutput::default();
    write(
        &plan,
        &mut elf::Writer::new(&plan).unwrap(),
        0x1000,
        Codec::None,
        &mut out,
    );
    out.0
}

fn zst() -> Vec<u8> {
    let plan = plan(vec![ram(0x1000, 0x3000), ram(0x8000, 0x9000)]);
    let mut out = ZstdOutput::default();
    let codec = Codec::Zstd { level: 1 };
    write(
        &plan,
        &mut elf::Writer::new(&plan).unwrap(),
        0x1000,
        codec,
        &mut out,
    );
    out.into_file(true)
}

/// Reads up to 64 KiB of every range.
pub fn exercise(image: &dyn ImageReader) {
    let mut unreadable = Unreadables::new();
    for stored in image.ranges().iter().take(100) {
        let len = stored.range.len().get().min(0x1_0000);
        let mut buf = vec![0; usize::try_from(len).unwrap()];
        image
            .read_phys(stored.range.start(), &mut buf, &mut unreadable)
            .unwrap();
    }
    for pair in image.ranges().windows(2) {
        assert!(pair[0].range.end() <= pair[1].range.start());
    }
}

#[test]
fn headers_with_overflows_or_absurd_counts_are_refused() {
    let wraps = Segment {
        offset: u64::MAX - 0xfff,
        ..load(0, 0x1000, 0x1000)
    };
    let past_all_addresses = load(0x1000, u64::MAX - 0xfff, 0x1000);
    let more_in_file = Segment {
        memsz: 0xfff,
        ..load(0x1000, 0x1000, 0x1000)
    };
    for (name, segment) in [
        ("wraps", wraps),
        ("past all addresses", past_all_addresses),
        ("more in the file", more_in_file),
    ] {
        let segments = [load(0x1000, 0x9000, 0x1000), segment];
        assert!(elf::Reader::new(core(&segments, 0x2000)).is_err(), "{name}");
    }
    let twice = [load(0x1000, 0x9000, 0x1000), load(0x1800, 0x9000, 0x800)];
    assert!(matches!(
        elf::Reader::new(core(&twice, 0x2000)),
        Err(elf::Error::Overlap { .. })
    ));
    assert!(matches!(
        elf::Reader::new(core(&[], 0x2000)),
        Err(elf::Error::Empty)
    ));
    let other = Segment {
        kind: LOAD + 1,
        ..load(0x1000, 0x9000, 0x1000)
    };
    assert!(matches!(
        elf::Reader::new(core(&[other], 0x2000)),
        Err(elf::Error::Empty)
    ));
}

/// 2^62 bytes that begin with `head` and are zero after it. Counts the bytes that are
/// read.
struct Endless {
    head: Vec<u8>,
    read: Mutex<u64>,
}

impl ReadAt for Endless {
    fn len(&self) -> u64 {
        1 << 62
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        *self.read.lock().unwrap() += u64::try_from(buf.len()).unwrap();
        buf.fill(0);
        let start = usize::try_from(offset).unwrap().min(self.head.len());
        let source = &self.head[start..];
        let len = source.len().min(buf.len());
        buf[..len].copy_from_slice(&source[..len]);
        Ok(())
    }
}

#[test]
fn a_forged_header_in_a_huge_sparse_file_costs_little() {
    let mut many_headers = core(&[load(0x1000, 0x9000, 0x1000)], 0x200);
    many_headers[56..58].copy_from_slice(&[0xff, 0xff]); // e_phnum
    many_headers[58] = 64; // e_shentsize
    many_headers[40] = 0x80; // e_shoff
    let mut believed = many_headers.clone();
    many_headers[0x80 + 44..0x80 + 48].fill(0xff); // sh_info
    believed[0x80 + 44..0x80 + 48].copy_from_slice(&(1_u32 << 19).to_le_bytes());
    let long_notes = |len| Segment {
        kind: NOTE,
        filesz: len,
        ..load(0x1000, 0, 0)
    };
    let huge_load = || load(0x1000, 0x9000, 1 << 61);
    let notes: Vec<Segment> = (0..1000)
        .map(|_| Segment {
            offset: 0x1_0000,
            ..long_notes(64 << 20)
        })
        .chain([huge_load()])
        .collect();
    let mut the_same = core(&notes, 0x1_0000);
    for field in [8_u32, 40 << 20, 0x4c50_4d31] {
        the_same.extend(field.to_le_bytes());
    }
    the_same.extend(b"LINPMEM\0");
    let one_note = [long_notes(1 << 61), huge_load()];
    for (name, head, warnings) in [
        ("2^32 headers", many_headers, None),
        ("2^19 headers, all but one zero", believed, Some(0)),
        ("2^61 bytes of notes", core(&one_note, 0x1000), Some(0)),
        ("1000 times the same note", the_same, Some(20)),
    ] {
        let source = Endless {
            head,
            read: Mutex::new(0),
        };
        let image = elf::Reader::new(&source).ok();
        let found = image.as_ref().map(|image| image.warnings().len());
        assert_eq!(found, warnings, "{name}");
        if let Some(image) = image {
            exercise(&image);
        }
        let read = *source.read.lock().unwrap();
        assert!(read < 130 << 20, "{name}: {read} bytes were read");
    }
}

#[test]
fn thousands_of_overlapping_segments_take_no_quadratic_time() {
    // Each repeats the bytes of the one before it from its second byte on.
    let segments: Vec<Segment> = (0..60_000_u64)
        .map(|index| Segment {
            vaddr: if index % 2 == 0 { 0 } else { u64::MAX << 31 },
            memsz: 1 << 40,
            ..load(0x40_0000 + index, 0x40_0000 + index, 60_000 - index)
        })
        .collect();
    let bytes = core(&segments, 0x40_0000 + 60_000);
    let started = std::time::Instant::now();
    exercise(&elf::Reader::new(bytes).unwrap());
    assert!(started.elapsed().as_secs() < 10);
}

#[test]
fn other_files_are_refused_with_a_reason() {
    let open = |bytes: &[u8]| open_reader(bytes.to_vec()).err().unwrap();
    assert!(matches!(open(b""), OpenError::Empty));
    assert!(matches!(open(&[0; 5000]), OpenError::Unknown));
    assert!(matches!(
        open(b"\x1f\x8b\x08"),
        OpenError::Compressed("gzip")
    ));
    assert!(matches!(
        open(b"\x7fELF"),
        OpenError::Elf(elf::Error::BeyondFile { .. })
    ));
    // Another machine, and none, where the notes do not tell; they have no say in the rest.
    for (at, value) in [(4, 1), (5, 2), (16, 2), (18, 3), (18, 243)] {
        let mut other = elf();
        other[at] = value;
        assert!(
            matches!(open(&other), OpenError::Elf(elf::Error::NotThisKind(_))),
            "byte {at}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn a_damaged_core_gives_an_error_or_a_sound_image(
        damage in vec((0..600_usize, any::<u8>()), 1..8),
    ) {
        let mut bytes = elf();
        for (at, value) in damage {
            bytes[at] = value;
        }
        if let Ok(image) = elf::Reader::new(bytes) {
            exercise(&image);
        }
    }

    #[test]
    fn a_damaged_zstd_file_gives_an_error_or_a_sound_image(
        damage in vec((any::<proptest::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = zst();
        for (at, value) in damage {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Ok(Ok(image)) = frames::Reader::new(bytes).map(elf::Reader::new) {
            exercise(&image);
        }
    }

    #[test]
    fn noise_after_a_magic_number_is_not_an_image(
        noise in vec(any::<u8>(), 0..4000),
        zstd in any::<bool>(),
    ) {
        let magic: &[u8] = if zstd { b"\x28\xb5\x2f\xfd" } else { b"\x7fELF\x02\x01\x01" };
        let bytes = [magic, &noise].concat();
        if zstd {
            if let Ok(reader) = frames::Reader::new(bytes) {
                let len = usize::try_from(reader.len()).unwrap();
                let _ = reader.read_exact_at(0, &mut vec![0; len]);
            }
        } else if let Ok(image) = elf::Reader::new(bytes) {
            exercise(&image);
        }
    }
}
