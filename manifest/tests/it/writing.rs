// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a writer refuses, and how few lines it needs.

use super::{
    CHUNK, NAME, Planned, chunks_of, footer, header, range, read, record, sample, stamp, written,
};
use linpmem_manifest::{
    ChunkContent, FrameRecord, ImageChunk, ManifestWriter, ReadError, ReadSpan, Reader, Record,
    Sha256Sum, ZeroChunks,
};
use linpmem_phys::{PhysLen, Unreadables};
use std::io;
use std::path::Path;

#[test]
fn the_writer_refuses_what_its_reader_would() {
    let planned = &sample()[0];
    let begun = || {
        let mut writer = ManifestWriter::new(Vec::new(), &header()).unwrap();
        writer.begin_range(record(0, planned)).unwrap();
        writer
    };
    let none = Unreadables::new();
    // Not the range's first chunk, and not all of it.
    assert!(
        begun()
            .chunk(
                ImageChunk {
                    addresses: range(0x2000, 0x10_0000),
                    ..planned.chunks[0]
                },
                &none
            )
            .is_err()
    );
    assert!(
        begun()
            .chunk(
                ImageChunk {
                    addresses: range(0x1000, 0x2000),
                    ..planned.chunks[0]
                },
                &none
            )
            .is_err()
    );
    // A zero chunk that is not the next is found when its line is written.
    let mut writer = begun();
    writer.chunk(planned.chunks[1], &none).unwrap();
    assert!(writer.end_range(Sha256Sum::new([0; 32])).is_err());
    // Nothing follows what could not be written.
    assert!(writer.finish(&footer(0)).is_err());
    assert!(begun().finish(&footer(0)).is_err());
    assert!(begun().begin_second_pass(&stamp(0)).is_err());
    let mut bad = header();
    bad.image.chunk_bytes = 0;
    assert!(ManifestWriter::new(Vec::new(), &bad).is_err());
}

/// Fails once, in the middle of a line.
struct Failing {
    text: Vec<u8>,
    left: usize,
}

impl io::Write for Failing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.left == 0 {
            self.left = usize::MAX;
            return Err(io::Error::other("no space"));
        }
        let size = bytes.len().min(self.left);
        self.left -= size;
        self.text.extend_from_slice(&bytes[..size]);
        Ok(size)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn after_a_line_that_could_not_be_written_the_manifest_stays_truncated() {
    let planned = &sample()[0];
    let whole = written(&sample(), false);
    let first = whole.iter().position(|&byte| byte == b'\n').unwrap() + 1;
    let mut text = Failing {
        text: Vec::new(),
        left: first + 10,
    };
    let mut writer = ManifestWriter::new(&mut text, &header()).unwrap();
    assert!(writer.begin_range(record(0, planned)).is_err());
    assert!(
        writer
            .chunk(planned.chunks[0], &Unreadables::new())
            .is_err()
    );
    assert!(writer.finish(&footer(0)).is_err());
    assert_eq!(text.text, whole[..first + 10]);
    assert!(matches!(
        read(&text.text),
        Err(ReadError::Truncated { lines: 1, .. })
    ));
}

#[test]
fn zero_chunks_share_lines_only_as_far_as_they_can() {
    let all = range(0, (3 * ZeroChunks::MAX_COUNT) << 20);
    let zeros = |frame: &dyn Fn(u64) -> Option<FrameRecord>| {
        let chunks: Vec<_> = (0..)
            .zip(all.pieces(PhysLen::new(CHUNK)))
            .map(|(number, addresses)| ImageChunk {
                addresses,
                content: ChunkContent::Zero,
                read: ReadSpan::between(number, number + 1),
                frame: frame(number),
            })
            .collect();
        let planned = Planned {
            addresses: all,
            kind: "System RAM".to_owned(),
            unreadable: vec![Unreadables::new(); chunks.len()],
            chunks,
        };
        let text = written(std::slice::from_ref(&planned), false);
        let found: Vec<_> = chunks_of(&text);
        assert_eq!(found.len(), planned.chunks.len());
        for (found, planned) in found.iter().zip(&planned.chunks) {
            assert_eq!(
                (found.addresses, found.frame),
                (planned.addresses, planned.frame)
            );
        }
        let lines = Reader::new(text.as_slice(), Path::new(NAME));
        lines
            .filter(|record| matches!(record, Ok(Record::ZeroChunks(_))))
            .count()
    };
    let frame = |offset, length| Some(FrameRecord { offset, length });
    assert_eq!(zeros(&|_| None), 3);
    assert_eq!(zeros(&|number| frame(5 + number * 7, 7)), 3);
    // A gap between two frames, and a frame of another length.
    assert_eq!(
        zeros(&|number| frame(number * 7 + u64::from(number > 9), 7)),
        4
    );
    let odd = |number: u64| {
        frame(
            number * 7 + u64::from(number > 9),
            7 + u64::from(number == 9),
        )
    };
    assert_eq!(zeros(&odd), 5);
}
