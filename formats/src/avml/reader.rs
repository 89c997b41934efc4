// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reading an AVML image, made by linpmem or AVML.

use super::block::{self, Block};
use crate::cache::Cache;
use crate::read_span::{mark_unreadable, read_span, split_off_front};
use crate::records::{self, Error, sort};
use crate::{Format, ImageReader, MachineFacts, ReadAt, StoredRange};
use linpmem_phys::num::u64_as_usize;
use linpmem_phys::{Content, Errno, PhysAddr, PhysRange, ReadPhys, SourceError, Unreadables};
use std::sync::Arc;

/// Reads an image in AVML's compressed format. Adjacent blocks form one range.
///
/// A block that is damaged is unreadable (`EIO`); the others can still be read.
#[derive(Debug)]
pub struct Reader<S> {
    source: S,
    /// Sorted by address.
    blocks: Vec<Block>,
    ranges: Vec<StoredRange>,
    machine: MachineFacts,
    warnings: Vec<String>,
    /// The memory of the blocks read last, by index; `None` for damaged ones.
    cache: Cache<usize, Option<Vec<u8>>>,
}

/// Four of AVML's blocks.
const CACHE_BYTES: usize = 64 << 20;

impl<S: ReadAt> Reader<S> {
    /// Opens the image in `source`.
    ///
    /// # Errors
    /// If the file is not a sequence of AVML blocks, two blocks overlap, or there is
    /// no block. Damage inside a block is found only when it is read.
    pub fn new(source: S) -> Result<Self, Error> {
        let (mut blocks, reserved_used) = block::blocks(&source)?;
        let mut warnings = Vec::new();
        if reserved_used > 0 {
            warnings.push(records::reserved_used(reserved_used));
        }
        let mut ranges: Vec<StoredRange> = blocks
            .iter()
            .map(|block| StoredRange {
                range: block.range,
                kind: None,
                content: Content::Data,
                offset: None,
            })
            .collect();
        sort(&mut ranges, &mut warnings)?;
        blocks.sort_by_key(|block| block.range);
        Ok(Self {
            source,
            blocks,
            ranges: joined(&ranges),
            machine: MachineFacts::default(),
            warnings,
            cache: Cache::new(CACHE_BYTES),
        })
    }

    fn read_part(&self, part: PhysRange, target: &mut [u8], unreadable: &mut Unreadables) {
        let first = self
            .blocks
            .partition_point(|block| block.range.end() <= part.start());
        let mut rest = target;
        for (index, block) in self.blocks.iter().enumerate().skip(first) {
            let Some(part) = block.range.intersect(part) else {
                break;
            };
            let target = split_off_front(&mut rest, part.len());
            let memory = self.block(index, block);
            let within = part.start().checked_sub(block.range.start());
            let bytes = memory.as_deref().zip(within).and_then(|(memory, within)| {
                let start = u64_as_usize(within.get());
                memory.get(start..start.checked_add(target.len())?)
            });
            match bytes {
                Some(bytes) => target.copy_from_slice(bytes),
                None => mark_unreadable(part, target, Errno::EIO, unreadable),
            }
        }
    }

    fn block(&self, index: usize, block: &Block) -> Arc<Option<Vec<u8>>> {
        if let Some(known) = self.cache.get(&index) {
            return known;
        }
        let memory = Arc::new(block.decompress(&self.source));
        let bytes = memory.as_deref().map_or(0, <[u8]>::len);
        self.cache.put(index, Arc::clone(&memory), bytes);
        memory
    }
}

/// Joins adjacent ranges.
fn joined(ranges: &[StoredRange]) -> Vec<StoredRange> {
    let mut result: Vec<StoredRange> = Vec::new();
    for stored in ranges {
        if let Some(last) = result.last_mut() {
            if last.range.end() == stored.range.start() {
                if let Ok(range) = PhysRange::new(last.range.start(), stored.range.end()) {
                    last.range = range;
                    continue;
                }
            }
        }
        result.push(*stored);
    }
    result
}

impl<S: ReadAt> ReadPhys for Reader<S> {
    fn read_phys(
        &self,
        start: PhysAddr,
        buf: &mut [u8],
        unreadable: &mut Unreadables,
    ) -> Result<(), SourceError> {
        read_span(
            &self.ranges,
            start,
            buf,
            unreadable,
            |_, _, part, target, list| {
                self.read_part(part, target, list);
            },
        )
    }
}

impl<S: ReadAt> ImageReader for Reader<S> {
    fn format(&self) -> Format {
        Format::Avml
    }

    fn ranges(&self) -> &[StoredRange] {
        &self.ranges
    }

    fn machine(&self) -> &MachineFacts {
        &self.machine
    }

    fn warnings(&self) -> &[String] {
        &self.warnings
    }
}
