// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reading an AVML image, made by linpmem or AVML.

use super::block::{Block, BlockContent, Blocks};
use crate::cache::Cache;
use crate::read_span::{mark_unreadable, read_span, split_off_front};
use crate::records::{self, Error, sort};
use crate::truncation::missing;
use crate::{Format, ImageReader, MachineFacts, ReadAt, StoredRange, Truncation};
use linpmem_phys::num::{u64_as_usize, usize_as_u64};
use linpmem_phys::{Content, Errno, PhysAddr, PhysRange, ReadPhys, SourceError, Unreadables};
use std::sync::Arc;

/// Reads an image in AVML's compressed format. Adjacent blocks form one range.
///
/// A block that is damaged is unreadable (`EIO`); the others can still be read. A header
/// that the next one follows directly stands for zeros, as AVML 0.16 and 0.17 write them.
/// An image that was cut off gives what is left of it.
#[derive(Debug)]
pub struct Reader<S> {
    source: S,
    /// Sorted by address.
    blocks: Vec<Block>,
    ranges: Vec<StoredRange>,
    machine: MachineFacts,
    warnings: Vec<String>,
    truncation: Option<Truncation>,
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
        let found = Blocks::read(&source)?;
        let mut warnings = Vec::new();
        if found.reserved_used > 0 {
            warnings.push(records::reserved_used(found.reserved_used));
        }
        let is_zero = |block: &&Block| block.content == BlockContent::Zero;
        let zero_blocks = found.blocks.iter().filter(is_zero).count();
        if zero_blocks > 0 {
            warnings.push(records::zero_blocks(usize_as_u64(zero_blocks)));
        }
        let mut blocks = Vec::with_capacity(found.blocks.len());
        let mut ranges = Vec::with_capacity(found.blocks.len());
        for mut block in found.blocks {
            let (present, lost) = block.reduce(&source);
            ranges.extend(present.map(|block| StoredRange {
                range: block.range,
                kind: None,
                content: Content::Data,
                offset: None,
            }));
            blocks.extend(present);
            ranges.extend(lost.map(|range| missing(range, None)));
        }
        sort(&mut ranges, &mut warnings)?;
        blocks.sort_by_key(|block| block.range);
        let ranges = joined(&ranges);
        let is_cut = found.is_cut || source.ends_early();
        // A block does not say whether others follow it.
        let truncation = is_cut.then(|| Truncation::of(&ranges, source.len(), true));
        if let Some(truncation) = truncation {
            warnings.insert(0, truncation.to_string());
        }
        Ok(Self {
            source,
            blocks,
            ranges,
            machine: MachineFacts::default(),
            warnings,
            truncation,
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
            if last.range.end() == stored.range.start() && last.content == stored.content {
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

    fn truncation(&self) -> Option<Truncation> {
        self.truncation
    }
}
