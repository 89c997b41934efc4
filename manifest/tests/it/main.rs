// SPDX-License-Identifier: MIT OR Apache-2.0
//! What was written reads back the same, and anything else is an error.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that fails may say so by a panic"
)]

mod hostile;
mod writing;

use linpmem_manifest::{
    ArtifactsPlace, ArtifactsRecord, ChunkContent, Chunks, ClockRecord, CustodyRecord, FileRecord,
    Footer, FrameRecord, FurtherHash, HashRecord, Header, Host, ImageChunk, ImageId, ImageRecord,
    ListedChunk, MachineRecord, Manifest, ManifestWriter, Operator, OperatorFrom, RangeRecord,
    ReadError, ReadSpan, Reader, Record, Sha256Sum, SourceManifest, SourceRecord, Stamp, State,
    Tally, Tool, Version, WrittenRecord, parse,
};
use linpmem_phys::{Errno, PhysAddr, PhysLen, PhysRange, Unreadable, Unreadables};
use proptest::prelude::*;
use std::io;
use std::path::Path;

const CHUNK: u64 = 1 << 20;
const PAGE: u64 = 4096;
const NAME: &str = "a.manifest.jsonl";

/// A range and its chunks, of which the last ones may be missing.
#[derive(Clone, Debug)]
struct Planned {
    addresses: PhysRange,
    kind: String,
    chunks: Vec<ImageChunk>,
    /// The unreadable pages of each chunk.
    unreadable: Vec<Unreadables>,
}

fn range(start: u64, end: u64) -> PhysRange {
    PhysRange::new(PhysAddr::new(start), PhysAddr::new(end)).unwrap()
}

fn stamp(monotonic_ns: u64) -> Stamp {
    Stamp {
        utc: "2026-01-31T23:59:59.000001Z".to_owned(),
        monotonic_ns,
    }
}

fn header() -> Header {
    Header {
        manifest_version: Version,
        tool: Tool {
            name: "test".to_owned(),
            version: "1".to_owned(),
            sha256: None,
        },
        command: vec!["a \"word\"\n".to_owned()],
        host: Host {
            hostname: "host".to_owned(),
            kernel_release: "6.12".to_owned(),
            kernel_version: "#1".to_owned(),
            machine: "x86_64".to_owned(),
            boot_id: None,
            machine_id: None,
        },
        custody: Some(CustodyRecord {
            operator: Operator {
                name: "Ada".to_owned(),
                from: OperatorFrom::Login,
            },
            case: Some("2026-7".to_owned()),
            note: None,
            clock: ClockRecord {
                boottime_ns: 5,
                timezone: Some("Europe/Berlin".to_owned()),
                synchronised: Some(false),
                max_error_us: None,
            },
            source_manifest: Some(SourceManifest {
                name: "old.manifest.jsonl".to_owned(),
                sha256: Sha256Sum::new([7; 32]),
                custody_sha256: None,
            }),
        }),
        source: SourceRecord::single("fake", "nowhere".to_owned(), None),
        started: stamp(1),
        machine: MachineRecord::default(),
        iomem: Some("00000000-00000fff : Reserved\n".to_owned()),
        frozen: Vec::new(),
        read_first: None,
        map: Vec::new(),
        image: ImageRecord {
            name: "a".to_owned(),
            id: Some(ImageId::from_random([3; 16])),
            format: "elf".to_owned(),
            raw_layout: None,
            compression: "none".to_owned(),
            chunk_bytes: CHUNK,
            planned_bytes: 0,
        },
        artifacts: None,
        artifacts_file: None,
    }
}

fn footer(unreadable_pages: u64) -> Footer {
    Footer {
        unreadable_pages,
        source_sha256: None,
        file: FileRecord {
            length: 1,
            image_length: 2,
            sha256: None,
            hashes: vec![HashRecord {
                algorithm: FurtherHash::Md5,
                digest: "00".to_owned(),
            }],
            sha256_tree: Sha256Sum::new([3; 32]),
            sha256_remainder: None,
        },
        hashed: None,
        warnings: vec!["mind \u{1f4be}".to_owned()],
        error: None,
        ended: stamp(2),
        state: State::Complete,
    }
}

fn artifacts() -> ArtifactsRecord {
    ArtifactsRecord {
        place: ArtifactsPlace::Tail,
        file: None,
        length: Some(5),
        sha256: Some(Sha256Sum::new([6; 32])),
        files: Vec::new(),
        missing: Vec::new(),
        remarks: Vec::new(),
    }
}

fn whole(unreadable_pages: u64) -> WrittenRecord {
    WrittenRecord {
        length: 1,
        image_length: 2,
        sha256_tree: Sha256Sum::new([3; 32]),
        sha256_remainder: Some(Sha256Sum::new([4; 32])),
        unreadable_pages,
        read_us: ReadSpan::between(1, 9),
        synced: stamp(2),
    }
}

/// The manifest of `ranges`.
fn written(ranges: &[Planned], has_second_pass: bool) -> Vec<u8> {
    let mut writer = ManifestWriter::new(Vec::new(), &header()).unwrap();
    let mut pages = 0;
    for (index, planned) in (0..).zip(ranges) {
        writer.begin_range(record(index, planned)).unwrap();
        for (chunk, unreadable) in planned.chunks.iter().zip(&planned.unreadable) {
            writer.chunk(*chunk, unreadable).unwrap();
            pages += unreadable.total().pages();
        }
        writer.end_range(Sha256Sum::new([7; 32])).unwrap();
    }
    if has_second_pass {
        writer.artifacts(&artifacts()).unwrap();
        writer.written(&whole(pages)).unwrap();
        let tally = Tally {
            pages: 2,
            different_pages: 1,
            different_bytes: 3,
            unreadable_pages: 0,
        };
        let mut second = writer.begin_second_pass(&stamp(3)).unwrap();
        for planned in ranges {
            second.changed(planned.addresses, 3).unwrap();
            second.range(planned.addresses, tally).unwrap();
        }
        second.finish(tally, None, stamp(4)).unwrap();
    }
    writer.finish(&footer(pages)).unwrap()
}

fn record(index: u64, planned: &Planned) -> RangeRecord {
    RangeRecord {
        index,
        start: planned.addresses.start().into(),
        last: planned.addresses.last().into(),
        kind: planned.kind.clone(),
        file_offset: None,
    }
}

fn read(text: &[u8]) -> Result<Manifest, ReadError> {
    parse(text, Path::new(NAME))
}

fn chunks(text: &[u8]) -> Result<Vec<ListedChunk>, ReadError> {
    Chunks::new(Reader::new(text, Path::new(NAME))).collect()
}

/// Ranges with gaps, aligned to pages but not to chunks.
fn ranges(is_compressed: bool) -> impl Strategy<Value = Vec<Planned>> {
    let chunk = (0..4_u8, 1..1000_u64, 1..1000_u64, 0..3_u64);
    let shape = (
        0..600_u64,
        1..1500_u64,
        prop::collection::vec(chunk, 0..8),
        any::<bool>(),
    );
    prop::collection::vec(shape, 0..6).prop_map(move |shapes| {
        let (mut next, mut offset, mut time) = (0, 100, 0);
        shapes
            .into_iter()
            .map(|(gap, pages, contents, is_ram)| {
                let start = next + gap * PAGE;
                let addresses = range(start, start + pages * PAGE);
                next = start + pages * PAGE;
                let pieces = addresses.pieces(PhysLen::new(CHUNK));
                let mut chunks = Vec::new();
                let mut all_unreadable = Vec::new();
                for (addresses, (content, wait, length, bad)) in pieces.zip(contents) {
                    // Frames of zero chunks are alike.
                    let length = if content < 2 { 50 } else { length };
                    chunks.push(ImageChunk {
                        addresses,
                        content: match content {
                            0 | 1 => ChunkContent::Zero,
                            sum => ChunkContent::Sha256(Sha256Sum::new([sum; 32])),
                        },
                        read: ReadSpan::between(time, time + wait),
                        frame: is_compressed.then_some(FrameRecord { offset, length }),
                    });
                    time += wait;
                    offset += length;
                    let mut unreadable = Unreadables::new();
                    let page = range(addresses.start().get(), addresses.start().get() + PAGE);
                    match bad {
                        0 => {}
                        1 => unreadable.push(page, Errno::EIO),
                        _ => unreadable.push(addresses, Errno::ECANCELED),
                    }
                    all_unreadable.push(unreadable);
                }
                Planned {
                    addresses,
                    kind: if is_ram { "System RAM" } else { "Reserved" }.to_owned(),
                    chunks,
                    unreadable: all_unreadable,
                }
            })
            .collect()
    })
}

fn joined(planned: &Planned) -> Vec<Unreadable> {
    let mut all = Unreadables::new();
    planned.unreadable.iter().for_each(|part| all.append(part));
    all.as_slice().to_vec()
}

proptest! {
    #[test]
    fn what_is_written_is_what_is_read(
        (ranges, has_second_pass) in (any::<bool>().prop_flat_map(ranges), any::<bool>()),
    ) {
        let text = written(&ranges, has_second_pass);
        let manifest = read(&text).unwrap();
        prop_assert_eq!(&manifest.header, &header());
        let pages = ranges.iter().flat_map(|planned| &planned.unreadable);
        let pages = pages.map(|part| part.total().pages()).sum::<u64>();
        prop_assert_eq!(&manifest.footer, &footer(pages));
        prop_assert_eq!(manifest.ranges.len(), ranges.len());
        prop_assert_eq!(manifest.artifacts().cloned(), has_second_pass.then(artifacts));
        prop_assert_eq!(manifest.written, has_second_pass.then(|| whole(pages)));
        prop_assert_eq!(manifest.second_pass.is_some(), has_second_pass);
        for (index, (found, planned)) in (0..).zip(manifest.ranges.iter().zip(&ranges)) {
            prop_assert_eq!(&found.record, &record(index, planned));
            prop_assert_eq!(found.addresses, planned.addresses);
            prop_assert_eq!(&found.unreadable, &joined(planned));
            prop_assert_eq!(found.chunks, u64::try_from(planned.chunks.len()).unwrap());
            let bytes = planned.chunks.iter().map(|chunk| chunk.addresses.len().get()).sum::<u64>();
            prop_assert_eq!(found.end.written_bytes, bytes);
            let first = planned.chunks.first();
            let read = first.zip(planned.chunks.last()).map(|(first, last)| first.read.until(last.read));
            prop_assert_eq!(found.end.read_us, read);
        }
        let listed = chunks(&text).unwrap();
        let expected = (0..).zip(&ranges).flat_map(|(range, planned)| {
            (0..).zip(&planned.chunks).map(move |(number, chunk)| (range, number, *chunk))
        });
        let expected: Vec<_> = expected.collect();
        prop_assert_eq!(listed.len(), expected.len());
        for (found, (range, number, chunk)) in listed.iter().zip(expected) {
            prop_assert_eq!((found.range, found.number), (range, number));
            let read = found.chunk.read;
            // Zero chunks on one line share their time, which includes that of each.
            prop_assert!(read.begin_us <= chunk.read.begin_us && chunk.read.end_us() <= read.end_us());
            if chunk.content != ChunkContent::Zero {
                prop_assert_eq!(read, chunk.read);
            }
            prop_assert_eq!(found.chunk, ImageChunk { read, ..chunk });
        }
    }

    #[test]
    fn a_changed_byte_is_an_error_or_another_manifest_but_no_panic(
        ranges in ranges(true),
        place in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut text = written(&ranges, true);
        let place = place.index(text.len());
        text[place] = byte;
        let (whole, listed) = (read(&text), chunks(&text));
        // Both see every line.
        prop_assert_eq!(whole.is_ok(), listed.is_ok());
    }

    #[test]
    fn lines_in_any_order_are_read_only_in_the_right_one(
        ranges in ranges(false),
        from in any::<prop::sample::Index>(),
        to in any::<prop::sample::Index>(),
    ) {
        let text = String::from_utf8(written(&ranges, false)).unwrap();
        let mut lines: Vec<&str> = text.lines().collect();
        let line = lines.remove(from.index(lines.len()));
        lines.insert(to.index(lines.len() + 1), line);
        let moved = lines.join("\n") + "\n";
        if let Ok(manifest) = read(moved.as_bytes()) {
            // Chunks of the same range may change places: only its Merkle tree tells.
            let same = read(text.as_bytes()).unwrap();
            prop_assert_eq!(manifest.footer, same.footer);
            prop_assert_eq!(manifest.ranges.len(), same.ranges.len());
        }
    }
}

/// A run that was killed after this line has a whole image: its manifest can be ended there.
#[test]
fn a_manifest_that_ends_after_the_image_was_written_can_be_completed() {
    let text = written(&sample(), true);
    let mut reader = Reader::new(text.as_slice(), Path::new(NAME));
    let found = reader.find_map(|record| match record.unwrap() {
        Record::Written(found) => Some(found),
        _ => None,
    });
    let found = found.unwrap();
    let end = usize::try_from(reader.position()).unwrap();
    assert!(text[..end].ends_with(b"}\n"));
    let cut = &text[..end];
    assert!(read(cut).is_err());
    let mut completed = cut.to_vec();
    let footer = found.footer(vec!["killed".to_owned()], stamp(5));
    Record::Footer(Box::new(footer))
        .write_line(&mut completed)
        .unwrap();
    let manifest = read(&completed).unwrap();
    assert_eq!(manifest.footer.state, State::CompleteWithUnreadable);
    assert_eq!(manifest.footer.file.length, found.length);
    let beginning = |text: &[u8]| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NAME);
        std::fs::write(&path, text).unwrap();
        linpmem_manifest::Beginning::read(&path).unwrap()
    };
    assert!(!beginning(cut).is_truncated);
    let last_line = cut[..end - 1]
        .iter()
        .rposition(|&byte| byte == b'\n')
        .unwrap()
        + 1;
    assert!(beginning(&cut[..last_line]).is_truncated);
}

fn sample() -> Vec<Planned> {
    let chunk = |start: u64, end: u64, content| ImageChunk {
        addresses: range(start, end),
        content,
        read: ReadSpan::between(start, end),
        frame: None,
    };
    let sum = ChunkContent::Sha256(Sha256Sum::new([0xab; 32]));
    let mut unreadable = Unreadables::new();
    unreadable.push(range(0x2000, 0x3000), Errno::EIO);
    vec![
        Planned {
            addresses: range(0x1000, 0x30_0000),
            kind: "System RAM".to_owned(),
            chunks: vec![
                chunk(0x1000, 0x10_0000, sum),
                chunk(0x10_0000, 0x20_0000, ChunkContent::Zero),
                chunk(0x20_0000, 0x30_0000, ChunkContent::Zero),
            ],
            unreadable: vec![unreadable, Unreadables::new(), Unreadables::new()],
        },
        Planned {
            addresses: range(0x100_0000, 0x100_1000),
            kind: "Reserved".to_owned(),
            chunks: vec![chunk(0x100_0000, 0x100_1000, sum)],
            unreadable: vec![Unreadables::new()],
        },
    ]
}

#[test]
fn cut_off_at_any_byte_it_is_truncated_and_keeps_what_came_before() {
    let text = written(&sample(), true);
    let lines = |text: &[u8]| u64::try_from(text.split(|&byte| byte == b'\n').count()).unwrap() - 1;
    for end in 0..text.len() {
        let cut = &text[..end];
        match read(cut) {
            Err(ReadError::Truncated { lines: told, .. }) => assert_eq!(told, lines(cut), "{end}"),
            other => panic!("{end}: {other:?}"),
        }
        // All complete lines are records; the error comes last.
        let records: Vec<_> = Reader::new(cut, Path::new(NAME)).collect();
        let good = records.iter().filter(|record| record.is_ok()).count();
        assert_eq!(u64::try_from(good).unwrap(), lines(cut), "{end}");
        assert_eq!(records.len(), good + 1, "{end}");
    }
    let said = read(&text[..text.len() - 1]).unwrap_err().to_string();
    assert!(said.contains(NAME) && said.contains("truncated"), "{said}");
    assert!(said.contains("did not finish"), "{said}");
}

#[test]
fn lines_are_what_the_guide_shows() {
    let text = String::from_utf8(written(&sample(), true)).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("{\"header\":{\"manifest_version\":2,\"tool\":"));
    let sum = "ab".repeat(32);
    assert_eq!(
        lines[1..7],
        [
            "{\"range\":{\"index\":0,\"start\":\"0x1000\",\"last\":\"0x2fffff\",\
             \"kind\":\"System RAM\",\"file_offset\":null}}"
                .to_owned(),
            format!("{{\"chunk\":[\"{sum}\",[4096,1044480]]}}"),
            "{\"unreadable\":{\"start\":\"0x2000\",\"last\":\"0x2fff\",\"pages\":1,\"errno\":5,\
             \"name\":\"EIO\"}}"
                .to_owned(),
            "{\"zero_chunks\":{\"count\":2,\"read_us\":[1048576,2097152]}}".to_owned(),
            format!(
                "{{\"range_end\":{{\"written_bytes\":3141632,\"unreadable_pages\":1,\
                 \"sha256_tree\":\"{}\",\"read_us\":[4096,3141632]}}}}",
                "07".repeat(32)
            ),
            "{\"range\":{\"index\":1,\"start\":\"0x1000000\",\"last\":\"0x1000fff\",\
             \"kind\":\"Reserved\",\"file_offset\":null}}"
                .to_owned(),
        ]
    );
    assert!(lines.last().unwrap().starts_with("{\"footer\":{"));
}

/// A chunk that is not zero takes a line of at most 100 bytes, for runs of up to a day and
/// ranges of any size. Zeros take almost nothing.
#[test]
fn a_tebibyte_costs_little() {
    let day_us = 86_400_000_000;
    let all = range(0, 1 << 40);
    let length = |content: ChunkContent| {
        let mut writer = ManifestWriter::new(io::sink(), &header()).unwrap();
        let planned = Planned {
            addresses: all,
            kind: "System RAM".to_owned(),
            chunks: Vec::new(),
            unreadable: Vec::new(),
        };
        writer.begin_range(record(0, &planned)).unwrap();
        for addresses in all.pieces(PhysLen::new(CHUNK)) {
            let chunk = ImageChunk {
                addresses,
                content,
                read: ReadSpan::between(day_us, day_us + 999_999),
                frame: None,
            };
            writer.chunk(chunk, &Unreadables::new()).unwrap();
        }
        writer.end_range(Sha256Sum::new([0; 32])).unwrap();
        writer.checkpoint().unwrap()
    };
    let data = length(ChunkContent::Sha256(Sha256Sum::new([0xff; 32])));
    let zeros = length(ChunkContent::Zero);
    println!("1 TiB of data: {data} bytes; of zeros: {zeros} bytes");
    // The rest is the header and the range.
    assert!(data - (1 << 12) <= 100 << 20, "{data}");
    assert!(zeros <= 100 << 10, "{zeros}");
}

fn chunks_of(text: &[u8]) -> Vec<ImageChunk> {
    let listed = chunks(text).unwrap().into_iter();
    listed.map(|listed| listed.chunk).collect()
}

#[test]
fn fuzzing_begins_with_manifests() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds/manifest");
    for name in ["plain", "compressed"] {
        linpmem_manifest::read(&folder.join(name)).unwrap();
    }
    let old = linpmem_manifest::read(&folder.join("version-1"));
    assert!(matches!(old, Err(ReadError::Version { found: 1, .. })));
}
