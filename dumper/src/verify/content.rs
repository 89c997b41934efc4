// SPDX-License-Identifier: MIT OR Apache-2.0
//! The comparison where chunks do not lie in the file in one piece: the file is
//! hashed as it is, and memory is read through the format's reader.

use super::check::{CheckError, Fault, Found};
use super::layout::{Chunk, Layout};
use crate::digest::Sha256Sum;
use crate::measure::{in_memory, len_bytes};
use crate::pipeline::{CHUNK_BYTES, Feed, HashThread, Pool};
use crate::progress::Meter;
use linpmem_formats::{Format, ImageReader};
use linpmem_phys::{PhysAddr, PhysRange, Unreadables};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// Buffers: one is filled, the others wait for the sums.
const BUFFERS: usize = 4;

/// Hashes the whole of `file`, which has `length` bytes and is read by `image`, and
/// all memory in it.
pub fn check_content(
    image: &dyn ImageReader,
    file: &File,
    length: u64,
    layout: &Layout<'_>,
    meter: &Meter,
) -> Result<Found, CheckError> {
    let pool = Pool::new(BUFFERS, layout.chunk_bytes.max(CHUNK_BYTES), 0);
    std::thread::scope(|scope| {
        let sum = HashThread::spawn(scope, "sum").map_err(CheckError::Start)?;
        let mut chunks = Vec::new();
        let mut ranges = Vec::with_capacity(layout.manifest.ranges.len());
        let mut index = 0;
        for range in &layout.manifest.ranges {
            for _ in &range.chunks {
                if let Some(chunk) = layout.chunks.get(index) {
                    let mut buffer = pool
                        .take(in_memory(chunk.record.length))
                        .ok_or(CheckError::Panicked)?;
                    if let Some(fault) = compare(image, chunk, buffer.data_mut()) {
                        chunks.push((index, fault));
                    }
                    meter.add_written(chunk.record.length, 0);
                    sum.feed(Feed::Data(Arc::new(buffer)));
                }
                index += 1;
            }
            ranges.push(Some(sum.finish().ok_or(CheckError::Panicked)?));
        }
        let mut position = 0;
        let end = layout.manifest.file.length.min(length);
        while position < end {
            let step = (end - position).min(len_bytes(&[0_u8; CHUNK_BYTES]));
            let mut buffer = pool.take(in_memory(step)).ok_or(CheckError::Panicked)?;
            // What the disk does not give is zero here, and so the sum differs.
            if file.read_exact_at(buffer.data_mut(), position).is_err() {
                buffer.data_mut().fill(0);
            }
            sum.feed(Feed::Data(Arc::new(buffer)));
            position = position.saturating_add(step);
        }
        let whole = sum.finish().ok_or(CheckError::Panicked)?;
        Ok(Found {
            length,
            sha256: (length >= layout.manifest.file.length).then_some(whole),
            ranges,
            chunks,
        })
    })
}

/// What is wrong with a chunk. Its memory is left in `buf`.
fn compare(image: &dyn ImageReader, chunk: &Chunk<'_>, buf: &mut [u8]) -> Option<Fault> {
    let mut unreadable = Unreadables::new();
    if let Err(error) = image.read_phys(chunk.addresses.start(), buf, &mut unreadable) {
        buf.fill(0);
        return Some(Fault::Unreadable(error.to_string()));
    }
    if Sha256Sum::of(buf) != chunk.record.sha256 {
        return Some(Fault::Differs);
    }
    // Zeros alone do not tell what was read from what was not.
    let recorded = chunk.range.unreadable.iter().filter_map(|record| {
        let range =
            PhysRange::from_inclusive(PhysAddr::new(record.start.0), PhysAddr::new(record.last.0));
        range.ok()?.intersect(chunk.addresses)
    });
    let found = unreadable.as_slice().iter().map(|item| item.range);
    // AVML has zeros there, and nothing that could be marked.
    let marks = image.format() != Format::Avml;
    (marks && merged(recorded) != merged(found)).then_some(Fault::Marks)
}

/// Neighbours as one: who listed them may have cut them elsewhere.
fn merged(ranges: impl Iterator<Item = PhysRange>) -> Vec<(u64, u64)> {
    let mut all: Vec<(u64, u64)> = Vec::new();
    for range in ranges {
        let (start, end) = (range.start().get(), range.end().get());
        match all.last_mut() {
            Some(last) if last.1 == start => last.1 = end,
            _ => all.push((start, end)),
        }
    }
    all
}
