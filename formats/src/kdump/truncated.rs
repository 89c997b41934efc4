// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is left of a dump that was cut off.
//!
//! In a file, bitmaps and page descriptors come before the pages, so that it is known
//! which pages are missing. In a flattened stream that linpmem wrote, the bitmap of dumped
//! pages comes piece by piece after them.

use super::Error;
use super::bitmap::Index;
use super::block::Block;
use super::header::Headers;
use super::page::{DESCRIPTOR_BYTES, Descriptor};
use crate::truncation::missing;
use crate::{ReadAt, StoredRange};
use linpmem_phys::num::{u64_as_usize, usize_as_u64};
use linpmem_phys::{Content, PhysAddr, PhysRange};
use std::io;
use std::sync::Mutex;

/// The most ranges into which the missing pages may split an image. What is missing beyond
/// that is found when it is read.
const MAX_RANGES: usize = 1 << 20;

/// Descriptors to read at a time.
const BLOCK_DESCRIPTORS: usize = 4096;

/// A dump whose bytes beyond its end are zero, to read the bitmaps of.
pub(super) struct Padded<'a, S> {
    source: &'a S,
    /// Where the second bitmap begins.
    dumped: u64,
    /// The first of its bytes that is missing.
    lost: Mutex<Option<u64>>,
}

impl<'a, S: ReadAt> Padded<'a, S> {
    pub(super) fn new(source: &'a S, headers: &Headers) -> Self {
        Self {
            source,
            dumped: headers.dumped,
            lost: Mutex::new(None),
        }
    }

    /// The first page of which the second bitmap no longer says whether the dump holds it.
    pub(super) fn first_unknown(&self) -> Option<u64> {
        let lost = self.lost.lock().unwrap_or_else(|error| error.into_inner());
        // The offset is in the bitmap: its index times 8 fits.
        lost.map(|offset| (offset - self.dumped) * 8)
    }
}

impl<S: ReadAt> ReadAt for Padded<'_, S> {
    fn len(&self) -> u64 {
        self.source.len()
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let there = read_beginning(self.source, offset, buf)?;
        if there < buf.len() && offset >= self.dumped {
            let mut lost = self.lost.lock().unwrap_or_else(|error| error.into_inner());
            let first = offset + usize_as_u64(there);
            *lost = Some(lost.map_or(first, |known| known.min(first)));
        }
        Ok(())
    }
}

/// Reads as much of `buf` as there is from `offset` on, and fills the rest with zeros.
/// Returns how many bytes there are.
pub(super) fn read_beginning(
    source: &impl ReadAt,
    offset: u64,
    buf: &mut [u8],
) -> io::Result<usize> {
    let is_there = |target: &mut [u8]| match source.read_exact_at(offset, target) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    };
    let (mut there, mut most) = (0, buf.len());
    let whole = most;
    // Nearly always all of it is there.
    let mut probe = most;
    while there < most {
        let (target, _) = buf.split_at_mut(probe);
        if is_there(target)? {
            there = probe;
        } else {
            most = probe - 1;
        }
        probe = there + (most - there).div_ceil(2);
    }
    if there < whole {
        let (target, rest) = buf.split_at_mut(there);
        rest.fill(0);
        // The last attempt may have been one that failed.
        if !target.is_empty() && !is_there(target)? {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(there)
}

/// How many of the `len` bytes from `offset` on are there, if none is missing before one
/// that is there.
pub(super) fn bytes_there(source: &impl ReadAt, offset: u64, len: u64) -> u64 {
    let is_there = |count: u64| {
        let last = offset.checked_add(count - 1);
        last.is_some_and(|last| source.read_exact_at(last, &mut [0]).is_ok())
    };
    let (mut there, mut most) = (0, len);
    while there < most {
        let probe = there + (most - there).div_ceil(2);
        if is_there(probe) {
            there = probe;
        } else {
            most = probe - 1;
        }
    }
    there
}

/// Whether the dump lacks a page descriptor, or the page of one of the last ones.
pub(super) fn lacks_pages(
    source: &impl ReadAt,
    headers: &Headers,
    dumped: u64,
) -> Result<bool, Error> {
    let file = source.len();
    // There are at most 2^33 pages.
    let table = dumped * usize_as_u64(DESCRIPTOR_BYTES);
    if headers
        .descriptors
        .checked_add(table)
        .is_none_or(|end| end > file)
    {
        return Ok(true);
    }
    let mut end = dumped;
    let mut last: Option<Descriptor> = None;
    while end > 0 {
        let start = end.saturating_sub(usize_as_u64(BLOCK_DESCRIPTORS));
        let mut encoded = vec![0; u64_as_usize(end - start) * DESCRIPTOR_BYTES];
        let offset = headers.descriptors + start * usize_as_u64(DESCRIPTOR_BYTES);
        source
            .read_exact_at(offset, &mut encoded)
            .map_err(|source| Error::Io { offset, source })?;
        for encoded in encoded.rchunks_exact(DESCRIPTOR_BYTES) {
            let Some(descriptor) = Descriptor::parse(encoded, headers.block) else {
                continue;
            };
            if !is_within(descriptor, file) {
                return Ok(true);
            }
            // Many descriptors share the zero page, which is at the beginning.
            match last {
                None => last = Some(descriptor),
                Some(last) if last.offset == descriptor.offset => {}
                Some(_) => return Ok(false),
            }
        }
        end = start;
    }
    Ok(false)
}

/// Whether all bytes of a page are in a file of `file` bytes.
pub(super) fn is_within(descriptor: Descriptor, file: u64) -> bool {
    let end = descriptor.offset.checked_add(u64::from(descriptor.size));
    end.is_some_and(|end| end <= file)
}

/// Marks pages as missing of which the dump says nothing any more: those from
/// `border` on that it does not list as dumped.
pub(super) fn mark_unknown(index: &mut Index, border: PhysAddr) {
    let (ranges, ranks) = (&mut index.ranges, &mut index.ranks);
    let old = std::mem::take(ranges)
        .into_iter()
        .zip(std::mem::take(ranks));
    for (stored, rank) in old {
        let (before, after) = match stored.content {
            Content::Skipped { .. } => stored.range.split_at(border),
            _ => (Some(stored.range), None),
        };
        let before = before.map(|range| StoredRange { range, ..stored });
        let after = after.map(|range| missing(range, None));
        for stored in before.into_iter().chain(after) {
            ranges.push(stored);
            ranks.push(rank);
        }
    }
}

/// Marks the pages as missing whose descriptors or bytes are.
pub(super) fn mark_missing(
    source: &impl ReadAt,
    headers: &Headers,
    index: &mut Index,
) -> Result<(), Error> {
    let mut pages = Descriptors {
        source,
        table: headers.descriptors,
        block_size: headers.block,
        count: index.dumped,
        first: 0,
        block: Vec::new(),
        there: 0,
    };
    let mut ranges: Vec<StoredRange> = Vec::with_capacity(index.ranges.len());
    let mut ranks = Vec::with_capacity(index.ranks.len());
    for (stored, rank) in index.ranges.iter().zip(&index.ranks) {
        if stored.content != Content::Data || ranges.len() >= MAX_RANGES {
            ranges.push(*stored);
            ranks.push(*rank);
            continue;
        }
        let count = stored.range.len().get() / headers.block.len();
        let mut begin: u64 = 0;
        while begin < count {
            let is_there = pages.is_there(rank + begin)?;
            let mut end = begin + 1;
            while end < count && pages.is_there(rank + end)? == is_there {
                end += 1;
            }
            // The pages are in the range.
            let at =
                |page: u64| PhysAddr::new(stored.range.start().get() + page * headers.block.len());
            if let Ok(range) = PhysRange::new(at(begin), at(end)) {
                ranges.push(match is_there {
                    true => StoredRange { range, ..*stored },
                    false => missing(range, None),
                });
                ranks.push(rank + begin);
            }
            begin = end;
        }
    }
    index.ranges = ranges;
    index.ranks = ranks;
    Ok(())
}

/// The page descriptors, in blocks.
struct Descriptors<'a, S> {
    source: &'a S,
    /// Where they begin.
    table: u64,
    /// The size of the pages.
    block_size: Block,
    /// How many there are.
    count: u64,
    /// The number of the block's first.
    first: u64,
    block: Vec<u8>,
    /// How many bytes of the block are there.
    there: usize,
}

impl<S: ReadAt> Descriptors<'_, S> {
    /// Whether all bytes of page `number` are there. One with a damaged descriptor counts
    /// as there: that it is damaged is found when it is read.
    fn is_there(&mut self, number: u64) -> Result<bool, Error> {
        let end = self.first + usize_as_u64(self.block.len() / DESCRIPTOR_BYTES);
        if number < self.first || number >= end {
            let left = self.count.saturating_sub(number);
            let count = u64_as_usize(left).min(BLOCK_DESCRIPTORS);
            self.block.resize(count * DESCRIPTOR_BYTES, 0);
            self.first = number;
            let offset = self.table + number * usize_as_u64(DESCRIPTOR_BYTES);
            self.there = read_beginning(self.source, offset, &mut self.block)
                .map_err(|source| Error::Io { offset, source })?;
        }
        let at = u64_as_usize(number - self.first) * DESCRIPTOR_BYTES;
        let Some(encoded) = self.block.get(at..at + DESCRIPTOR_BYTES) else {
            return Ok(false);
        };
        if at + DESCRIPTOR_BYTES > self.there {
            return Ok(false);
        }
        let Some(descriptor) = Descriptor::parse(encoded, self.block_size) else {
            return Ok(true);
        };
        if !self.source.ends_early() {
            return Ok(is_within(descriptor, self.source.len()));
        }
        let last = descriptor
            .offset
            .checked_add(u64::from(descriptor.size) - 1);
        let is_there = |offset| self.source.read_exact_at(offset, &mut [0]).is_ok();
        Ok(is_there(descriptor.offset) && last.is_some_and(is_there))
    }
}
