// SPDX-License-Identifier: MIT OR Apache-2.0
//! The layout of a dump that this crate writes, which follows from the plan alone.
//!
//! ```text
//! block 0   header
//! block 1   sub-header, 104 bytes, followed by the notes, VMCOREINFO first
//! …         bitmap of the pages that exist
//! …         bitmap of the pages that the dump holds
//! …         page descriptors, with room for all planned pages
//! …         the zero page, then the others
//! ```

use super::MAX_PAGES;
use super::block::Block;
use super::header::SUB_HEADER_BYTES;
use super::notes::MAX_NOTES_BYTES;
use super::page::DESCRIPTOR_BYTES;
use crate::{CoreNote, ImagePlan, WriteError};
use linpmem_kinfo::vmcoreinfo;
use linpmem_phys::PhysLen;
use linpmem_phys::num::usize_as_u64;

/// Offsets in bytes from the start of the dump; lengths in blocks or as named.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    pub(super) block: Block,
    /// The index of the page after the last one.
    pub(super) max_pages: u64,
    /// The number of planned pages.
    pub(super) pages: u64,
    pub(super) sub_header_blocks: u32,
    /// The size of one bitmap.
    pub(super) bitmap_blocks: u32,
    pub(super) present: u64,
    pub(super) dumped: u64,
    pub(super) descriptors: u64,
    pub(super) data: u64,
}

/// Three numbers of 4 bytes, and the name padded to a multiple of 4.
pub(super) const NOTE_HEADER_BYTES: u64 = 12 + 12;

impl Layout {
    pub(super) fn new(plan: &ImagePlan, page: Block) -> Result<Self, WriteError> {
        let too_big = |what: &str| {
            WriteError::Unsupported(format!(
                "a kdump image cannot hold this: {what}; use --format elf"
            ))
        };
        let block = |number: u64| number * page.len();
        let is_split = |addr: u64| addr % page.len() != 0;
        let ranges = || plan.ranges().iter().map(|planned| planned.range);
        if let Some(range) =
            ranges().find(|range| is_split(range.start().get()) || is_split(range.end().get()))
        {
            let page = page.phys_len();
            return Err(too_big(&format!(
                "{range} does not have whole pages of this kernel, which are {page} each"
            )));
        }
        let max_pages = page.page_of(plan.end());
        if max_pages > MAX_PAGES {
            let limit = PhysLen::new(block(MAX_PAGES));
            return Err(too_big(&format!("memory above {limit}")));
        }
        let text = plan.machine().vmcoreinfo.as_deref().unwrap_or_default();
        let text_bytes = usize_as_u64(text.len());
        if text_bytes > vmcoreinfo::MAX_BYTES {
            return Err(too_big("a VMCOREINFO text above 1 MiB"));
        }
        // Below 2^33 pages of memory and 1 MiB of text, no sum or product here overflows.
        let blocks = |bytes: u64| bytes.div_ceil(block(1));
        let others: u64 = plan
            .machine()
            .notes
            .iter()
            .map(CoreNote::padded_bytes)
            .sum::<Result<u64, _>>()
            .map_err(|error| too_big(&error.to_string()))?;
        if others > MAX_NOTES_BYTES {
            return Err(too_big("more than 64 MiB of notes"));
        }
        let sub_header_blocks =
            blocks(SUB_HEADER_BYTES + NOTE_HEADER_BYTES + text_bytes + 3 + others);
        let bitmap_blocks = blocks(max_pages.div_ceil(8));
        let pages = plan.total().get() / page.len();
        let present = block(1 + sub_header_blocks);
        let dumped = present + block(bitmap_blocks);
        let descriptors = dumped + block(bitmap_blocks);
        let table = blocks(pages * usize_as_u64(DESCRIPTOR_BYTES));
        Ok(Self {
            block: page,
            max_pages,
            pages,
            sub_header_blocks: u32::try_from(sub_header_blocks)
                .map_err(|_| too_big("so large a sub-header"))?,
            bitmap_blocks: u32::try_from(bitmap_blocks)
                .map_err(|_| too_big("so large a bitmap"))?,
            present,
            dumped,
            descriptors,
            data: descriptors + block(table),
        })
    }

    /// The size of one bitmap in bytes. Numbers of blocks have 32 bits.
    pub(super) fn bitmap_bytes(&self) -> u64 {
        u64::from(self.bitmap_blocks) * self.block.len()
    }

    /// Where the ELF note with the VMCOREINFO text begins.
    pub(super) const fn note_offset(&self) -> u64 {
        self.block.len() + SUB_HEADER_BYTES
    }

    /// Where the text begins in the note.
    pub(super) const fn vmcoreinfo_offset(&self) -> u64 {
        self.note_offset() + NOTE_HEADER_BYTES
    }

    /// Where the descriptor of dumped page number `index` is. There are fewer than
    /// 2^33.
    pub(super) fn descriptor(&self, index: u64) -> u64 {
        self.descriptors + index * usize_as_u64(DESCRIPTOR_BYTES)
    }
}
