// SPDX-License-Identifier: MIT OR Apache-2.0
//! AFF4 beyond 32-bit sizes, and maps of fragmented memory.

use crate::aff4_images::options;
use crate::memory::{plan, ram};
use bytes::Bytes;
use linpmem_formats::{Chunk, ImageOutput, ImageReader, ImageWriter, OutputError, ReadAt, aff4};
use linpmem_phys::{PhysAddr, ReadPhys, Unreadables};
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

/// Keeps everything except for long runs of the byte 0xa5, of which it keeps only the
/// length: a sparse file with holes of another byte than 0.
#[derive(Default)]
struct Sparse {
    /// The pieces that are kept, by offset.
    pieces: BTreeMap<u64, Vec<u8>>,
    position: u64,
}

const FILLING: u8 = 0xa5;

impl ImageOutput for Sparse {
    fn position(&self) -> u64 {
        self.position
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<(), OutputError> {
        if bytes.len() < 1 << 16 || bytes.iter().any(|&byte| byte != FILLING) {
            self.pieces.insert(self.position, bytes.to_vec());
        }
        self.position += u64::try_from(bytes.len()).unwrap();
        Ok(())
    }

    fn zeros(&mut self, len: u64) -> Result<(), OutputError> {
        panic!("{len} zeros in an archive");
    }

    fn chunk(&mut self, chunk: &Chunk<'_>) -> Result<(), OutputError> {
        self.bytes(&chunk.data)
    }
}

impl ReadAt for Sparse {
    fn len(&self) -> u64 {
        self.position
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let end = offset + u64::try_from(buf.len()).unwrap();
        if end > self.position {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        buf.fill(FILLING);
        let first = self.pieces.range(..=offset).next_back();
        for (start, piece) in first.into_iter().chain(self.pieces.range(offset + 1..end)) {
            let piece_end = start + u64::try_from(piece.len()).unwrap();
            let (from, to) = (offset.max(*start), end.min(piece_end));
            if from < to {
                let at = |addr: u64, base: u64| usize::try_from(addr - base).unwrap();
                buf[at(from, offset)..at(to, offset)]
                    .copy_from_slice(&piece[at(from, *start)..at(to, *start)]);
            }
        }
        Ok(())
    }
}

#[test]
fn a_volume_beyond_4_gib_reads_back() {
    const END: u64 = (4 << 30) + (8 << 20);
    let plan = plan(vec![ram(0, END)]);
    // Without hashes, since this takes long enough.
    let options = aff4::Options {
        block_hashes: Vec::new(),
        linear_hashes: Vec::new(),
        chunks_in_segment: 512,
        ..options(aff4::Compression::None)
    };
    let mut writer = aff4::Writer::new(&plan, options).unwrap();
    let mut out = Sparse::default();
    writer.begin(&mut out).unwrap();
    let data = vec![FILLING; 1 << 20];
    let mut last = data.clone();
    last[0xf_ffff] = 1;
    let (data, last) = (Bytes::from(data), Bytes::from(last));
    for start in (0..END).step_by(1 << 20) {
        let is_last = start + (1 << 20) == END;
        let data = if is_last { &last } else { &data };
        let chunk = Chunk::new(PhysAddr::new(start), data.clone(), &[]);
        writer.chunk(&chunk, &mut out).unwrap();
    }
    writer.finish(&mut out).unwrap();
    assert!(out.position > 4 << 30);
    let image = aff4::Reader::open(vec![Arc::new(out)]).unwrap();
    let mut buf = vec![0; 0x1_0000];
    let mut unreadable = Unreadables::new();
    image
        .read_phys(PhysAddr::new(END - 0x1_0000), &mut buf, &mut unreadable)
        .unwrap();
    assert!(unreadable.is_empty());
    assert!(buf == last[0xf_0000..]);
}

#[test]
fn members_beyond_65535_are_found() {
    for files in [65_528_u32, 65_529, 65_530, 70_000] {
        let options = aff4::Options {
            files: (0..files)
                .map(|number| {
                    aff4::File::new(format!("/files/{number}"), number.to_le_bytes().to_vec())
                })
                .collect(),
            ..options(aff4::Compression::Snappy)
        };
        let memory = crate::aff4_images::Memory {
            plan: plan(vec![ram(0, 0x1000)]),
            unreadable: Vec::new(),
        };
        let image = crate::aff4_images::open(memory.image(options));
        let found = image.files();
        assert_eq!(found.len(), usize::try_from(files).unwrap() + 1);
        let last = found
            .iter()
            .find(|file| file.path == format!("/files/{}", files - 1))
            .unwrap();
        assert_eq!(image.file(&last.urn).unwrap(), (files - 1).to_le_bytes());
    }
}

/// Every other block is zero, which needs as many records as possible.
#[test]
fn the_map_of_a_fragmented_memory_stays_small() {
    const END: u64 = 16 << 30;
    let plan = plan(vec![ram(0, END)]);
    let options = aff4::Options {
        block_hashes: Vec::new(),
        linear_hashes: Vec::new(),
        ..options(aff4::Compression::Snappy)
    };
    let mut writer = aff4::Writer::new(&plan, options).unwrap();
    let encoder = writer.encoder().unwrap();
    let mut out = crate::outputs::VecOutput::default();
    writer.begin(&mut out).unwrap();
    let mut data = vec![0; 1 << 20];
    for (index, block) in data.chunks_mut(32 << 10).enumerate() {
        block.fill(u8::from(index % 2 == 0));
    }
    let mut frame = Vec::new();
    encoder.encode(PhysAddr::ZERO, &data, &mut frame);
    let (data, frame) = (Bytes::from(data), Bytes::from(frame));
    for start in (0..END).step_by(1 << 20) {
        let chunk = Chunk::new(PhysAddr::new(start), data.clone(), &[]);
        let chunk = chunk.with_frame(Some(frame.clone()));
        writer.chunk(&chunk, &mut out).unwrap();
    }
    writer.finish(&mut out).unwrap();
    let bytes = out.0;
    let image = crate::aff4_images::open(bytes);
    let map = image
        .members()
        .into_iter()
        .find(|(name, _)| name.ends_with("/map"))
        .unwrap();
    // 16 GiB would have 524,288 records otherwise.
    assert!(map.1 / 28 < 50_000, "{} records", map.1 / 28);
    let mut buf = vec![0; 1 << 20];
    let mut unreadable = Unreadables::new();
    for start in [0, 8 << 30, END - (1 << 20)] {
        image
            .read_phys(PhysAddr::new(start), &mut buf, &mut unreadable)
            .unwrap();
        assert!(buf == data && unreadable.is_empty());
    }
    assert_eq!(image.ranges().len(), 1);
}
