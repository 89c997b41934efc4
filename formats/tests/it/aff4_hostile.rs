// SPDX-License-Identifier: MIT OR Apache-2.0
//! Damaged and forged AFF4 volumes give an error, in limited time and memory.

use crate::aff4_images::{mixed, options};
use crate::aff4_volume::Volume;
use linpmem_formats::{ImageReader, aff4};
use linpmem_phys::{ReadPhys, Unreadables};
use proptest::collection::vec;
use proptest::prelude::*;
use std::sync::Arc;

fn try_open(bytes: Vec<u8>) -> Result<aff4::Reader, aff4::Error> {
    aff4::Reader::open(vec![Arc::new(bytes)])
}

/// Reads up to 64 KiB of every range.
fn exercise(image: &aff4::Reader) {
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
    for file in image.files() {
        let _ = image.file(&file.urn);
    }
}

const STREAM: &str = "aff4:chunkSize 4096 ; aff4:chunksInSegment 4 ; aff4:size 8192 ; \
                      aff4:compressionMethod aff4:NullCompressor";

fn map_of(records: &[[u64; 4]], idx: &str, stream: &str, turtle: &str) -> Vec<u8> {
    let bytes: Vec<u8> = records
        .iter()
        .flat_map(|&[start, len, offset, target]| {
            let target = u32::try_from(target).unwrap();
            let mut record = [start, len, offset].map(u64::to_le_bytes).concat();
            record.extend(target.to_le_bytes());
            record
        })
        .collect();
    let index: Vec<u8> = [(0_u64, 4096_u32), (4096, 4096)]
        .iter()
        .flat_map(|(offset, len)| [&offset.to_le_bytes()[..], &len.to_le_bytes()].concat())
        .collect();
    Volume::new("aff4://v")
        .member("map/map", &bytes)
        .member("map/idx", idx.as_bytes())
        .member("stream/00000000", &[7; 8192])
        .member("stream/00000000.index", &index)
        .finish(&format!(
            "<aff4://v/image> a aff4:MemoryImage ; aff4:dataStream <aff4://v/map> .\n\
             <aff4://v/map> a aff4:Map ; aff4:size 65536 .\n\
             <aff4://v/stream> a aff4:ImageStream ; {stream} .\n{turtle}"
        ))
}

const IDX: &str = "aff4://v/stream\n";

#[test]
fn contradictory_maps_are_refused() {
    assert!(try_open(map_of(&[[0, 8192, 0, 0]], IDX, STREAM, "")).is_ok());
    for (what, record) in [
        ("start", [u64::MAX - 10, 8192, 0, 0]),
        ("length", [0, u64::MAX, 1, 0]),
        ("target offset", [0, 8192, u64::MAX - 10, 0]),
        ("target", [0, 8192, 0, 1]),
        ("far target", [0, 8192, 0, u64::from(u32::MAX)]),
    ] {
        let opened = try_open(map_of(&[record], IDX, STREAM, ""));
        assert!(matches!(opened, Err(aff4::Error::Object { .. })), "{what}");
    }
}

#[test]
fn memory_missing_from_a_stream_is_listed_and_not_zero() {
    let image = try_open(map_of(&[[0, 16_384, 0, 0]], IDX, STREAM, "")).unwrap();
    let mut buf = vec![0xee; 16_384];
    let mut unreadable = Unreadables::new();
    image
        .read_phys(linpmem_phys::PhysAddr::ZERO, &mut buf, &mut unreadable)
        .unwrap();
    assert!(buf[..8192].iter().all(|&byte| byte == 7));
    assert_eq!(unreadable.total().get(), 8192);
}

#[test]
fn maps_that_refer_to_themselves_are_refused() {
    let idx = "aff4://v/map\n";
    let opened = try_open(map_of(&[[0, 8192, 0, 0]], idx, STREAM, ""));
    assert!(matches!(opened, Err(aff4::Error::Object { .. })));
    // Through another map.
    let bytes = Volume::new("aff4://v")
        .member(
            "a/map",
            &[0, 16, 0, 0].map(|byte: u64| byte.to_le_bytes()).concat()[..28],
        )
        .member("a/idx", b"aff4://v/b\n")
        .member(
            "b/map",
            &[0, 16, 0, 0].map(|byte: u64| byte.to_le_bytes()).concat()[..28],
        )
        .member("b/idx", b"aff4://v/a\n")
        .finish("<aff4://v/a> a aff4:Map . <aff4://v/b> a aff4:Map .");
    assert!(matches!(try_open(bytes), Err(aff4::Error::Object { .. })));
}

#[test]
fn streams_of_absurd_sizes_cost_nothing() {
    for stream in [
        "aff4:chunkSize 18446744073709551615 ; aff4:size 8192",
        "aff4:chunkSize 0 ; aff4:size 8192",
        "aff4:chunkSize -1 ; aff4:chunksInSegment 0 ; aff4:size 8192",
        "aff4:chunkSize 4096 ; aff4:chunksInSegment 99999999999 ; aff4:size 1",
        "aff4:chunkSize 4096 ; aff4:size 1 ; aff4:compressionMethod <http://zstd>",
        "aff4:chunkSize 4096",
    ] {
        let opened = try_open(map_of(&[[0, 8192, 0, 0]], IDX, stream, ""));
        assert!(
            matches!(opened, Err(aff4::Error::Object { .. })),
            "{stream}"
        );
    }
    let endless = "aff4:chunkSize 4096 ; aff4:chunksInSegment 4 ; \
                   aff4:size 18446744073709551615";
    let error = try_open(map_of(&[[0, 1 << 60, 0, 0]], IDX, endless, "")).unwrap_err();
    assert!(
        error.to_string().contains("can hold 8192 at most"),
        "{error}"
    );
}

#[test]
fn bombs_do_not_go_off() {
    // Chunks that claim or hold more than a chunk.
    let mut promise = Vec::new();
    let mut len = u32::MAX;
    while len > 0x7f {
        promise.push(u8::try_from(len & 0x7f).unwrap() | 0x80);
        len >>= 7;
    }
    promise.push(u8::try_from(len).unwrap());
    promise.extend([0; 100]);
    let zeros = miniz(&vec![0; 64 << 20]);
    for (method, chunk) in [
        ("http://code.google.com/p/snappy/", promise.clone()),
        ("https://www.ietf.org/rfc/rfc1950.txt", zeros.clone()),
        ("https://code.google.com/p/lz4/", vec![0xff; 4000]),
    ] {
        let index = [
            &0_u64.to_le_bytes()[..],
            &u32::try_from(chunk.len()).unwrap().to_le_bytes(),
        ]
        .concat();
        let bytes = Volume::new("aff4://v")
            .member("stream/00000000", &chunk)
            .member("stream/00000000.index", &index)
            .finish(&format!(
                "<aff4://v/stream> a aff4:ImageStream ; aff4:chunkSize 4096 ; aff4:size 4096 ; \
                 aff4:chunksInSegment 4 ; aff4:compressionMethod <{method}> ."
            ));
        let image = try_open(bytes).unwrap();
        let mut buf = [0xee; 4096];
        let mut unreadable = Unreadables::new();
        image
            .read_phys(linpmem_phys::PhysAddr::ZERO, &mut buf, &mut unreadable)
            .unwrap();
        assert_eq!(unreadable.total().get(), 4096, "{method}");
    }
    // A description that inflates to more than is accepted, or than it states.
    for says in [1_u64 << 20, 1 << 40] {
        let bytes = Volume::new("aff4://v").deflated("information.turtle", &zeros[2..], says);
        assert!(try_open(bytes).is_err());
    }
}

fn miniz(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    std::io::Write::write_all(&mut encoder, data).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn bad_turtle_and_other_archives_are_refused_with_a_reason() {
    let volume = || Volume::new("aff4://v");
    assert!(matches!(
        try_open(volume().finish("<a> <b> .")),
        Err(aff4::Error::Turtle { .. })
    ));
    assert!(matches!(
        try_open(volume().finish("")),
        Err(aff4::Error::NoImage(_))
    ));
    assert!(matches!(
        try_open(volume().close()),
        Err(aff4::Error::NotAff4)
    ));
    assert!(matches!(
        try_open(b"PK\x03\x04".to_vec()),
        Err(aff4::Error::NoDirectory)
    ));
}

#[test]
fn thousands_of_overlapping_records_take_no_quadratic_time() {
    let records: Vec<[u64; 4]> = (0..200_000)
        .map(|at| [at, 400_000 - 2 * at, 0, 0])
        .collect();
    let started = std::time::Instant::now();
    let image = try_open(map_of(&records, IDX, STREAM, "")).unwrap();
    exercise(&image);
    assert!(started.elapsed().as_secs() < 10);
    assert!(image.warnings().iter().any(|what| what.contains("twice")));
}

#[test]
fn verify_names_the_level_that_is_wrong() {
    let whole = mixed().image(options(aff4::Compression::None));
    let mut levels = Vec::new();
    // A byte of the first segment, with a checksum of its own.
    let at = whole
        .windows(4)
        .position(|window| window == b"PK\x03\x04")
        .unwrap();
    assert_eq!(at, 0);
    let mut bytes = whole.clone();
    bytes[0x8000] ^= 1;
    let image = try_open(bytes).unwrap();
    let verified = image.verify(|check| {
        if let aff4::Verdict::Mismatch(_) = check.verdict {
            levels.push(check.level);
        }
    });
    verified.unwrap();
    assert_eq!(
        levels,
        [
            aff4::Level::Member,
            aff4::Level::Chunks,
            aff4::Level::Linear
        ]
    );
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

    #[test]
    fn a_damaged_volume_gives_an_error_or_a_sound_image(
        damage in vec((any::<proptest::sample::Index>(), any::<u8>()), 1..6),
        tail in any::<bool>(),
    ) {
        let mut bytes = mixed().image(options(aff4::Compression::Snappy));
        let len = bytes.len();
        for (at, value) in damage {
            // Most structures that can be forged are at the end.
            let at = if tail { len - 1 - at.index(12_000) } else { at.index(len) };
            bytes[at] = value;
        }
        let mut out = crate::outputs::VecOutput::default();
        let _ = aff4::recover(&bytes, &mut out);
        if let Ok(image) = try_open(bytes) {
            exercise(&image);
        }
    }
}
