// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where everything lies in a dump that we write, known from the plan alone.
//!
//! ```text
//! block 0   header
//! block 1   sub-header, 104 bytes, and the VMCOREINFO note behind it
//! …         bitmap of pages that there are
//! …         bitmap of pages that the dump holds
//! …         a descriptor for each page, room for all that were planned
//! …         the zero page, then the others
//! ```

use super::header::SUB_HEADER_BYTES;
use super::page::DESCRIPTOR_BYTES;
use super::{BLOCK_BYTES, MAX_PAGES};
use crate::{ImagePlan, WriteError};
use linpmem_phys::PAGE_SIZE;

/// Places in bytes from the beginning of the dump, lengths in blocks or as named.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    /// The page after the last.
    pub(super) max_pages: u64,
    /// Pages that were planned.
    pub(super) pages: u64,
    pub(super) sub_header_blocks: u32,
    /// Of one bitmap.
    pub(super) bitmap_blocks: u32,
    pub(super) present: u64,
    pub(super) dumped: u64,
    pub(super) descriptors: u64,
    pub(super) data: u64,
}

/// Where the ELF note with the VMCOREINFO text begins, and the text in it.
pub(super) const NOTE_OFFSET: u64 = block(1) + SUB_HEADER_BYTES;
pub(super) const VMCOREINFO_OFFSET: u64 = NOTE_OFFSET + NOTE_HEADER_BYTES;

/// Three numbers of 4 bytes, and the name, padded to a multiple of 4.
pub(super) const NOTE_HEADER_BYTES: u64 = 12 + 12;

const fn block(number: u64) -> u64 {
    number * 4096
}

impl Layout {
    pub(super) fn new(plan: &ImagePlan) -> Result<Self, WriteError> {
        let too_big = |what| {
            WriteError::Unsupported(format!(
                "a kdump image cannot hold this: {what}; use --format elf"
            ))
        };
        let max_pages = plan.end().get() / PAGE_SIZE.get();
        if max_pages > MAX_PAGES {
            return Err(too_big("it reaches above 32 TiB"));
        }
        let text = plan.machine().vmcoreinfo.as_ref().map_or(0, Vec::len);
        let text = u64::try_from(text).unwrap_or(u64::MAX);
        let blocks = |bytes: u64| bytes.div_ceil(block(1));
        let sub_header_blocks = blocks(
            (SUB_HEADER_BYTES + NOTE_HEADER_BYTES)
                .saturating_add(text)
                .saturating_add(3),
        );
        let bitmap_blocks = blocks(max_pages.div_ceil(8));
        let pages = plan.total().pages();
        let descriptor_bytes = u64::try_from(DESCRIPTOR_BYTES).unwrap_or(u64::MAX);
        let present = block(1_u64.saturating_add(sub_header_blocks));
        let dumped = present.saturating_add(block(bitmap_blocks));
        let descriptors = dumped.saturating_add(block(bitmap_blocks));
        let table = blocks(pages.saturating_mul(descriptor_bytes));
        Ok(Self {
            max_pages,
            pages,
            sub_header_blocks: u32::try_from(sub_header_blocks)
                .map_err(|_| too_big("its VMCOREINFO passes 16 TiB"))?,
            bitmap_blocks: u32::try_from(bitmap_blocks).map_err(|_| too_big("its map"))?,
            present,
            dumped,
            descriptors,
            data: descriptors.saturating_add(block(table)),
        })
    }

    /// Where the descriptor of dumped page number `index` lies.
    pub(super) fn descriptor(&self, index: u64) -> u64 {
        let bytes = u64::try_from(DESCRIPTOR_BYTES).unwrap_or(u64::MAX);
        self.descriptors.saturating_add(index.saturating_mul(bytes))
    }
}

const _: () = assert!(BLOCK_BYTES == 4096);
