// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reading pages by their numbers, with what was read last.

use super::block::Block;
use super::page::{DESCRIPTOR_BYTES, Descriptor, Unpacker};
use super::truncated::read_beginning;
use crate::ReadAt;
use linpmem_phys::num::{u32_as_usize, u64_as_usize, usize_as_u64};
use std::fmt;
use std::sync::{Mutex, PoisonError};

/// Descriptors to read at a time.
const BLOCK_DESCRIPTORS: u64 = 256;

/// Bytes of compressed pages to read at a time: few at first, and twice as many each time
/// that the next page follows. Pages that are neighbours in memory usually are in the file.
const FIRST_WINDOW: usize = 16 << 10;
const LARGEST_WINDOW: usize = 256 << 10;

/// The states that readers left behind for the next ones. As many readers as there are
/// threads exist at a time.
///
/// A range may be a single page: a reader that forgot what it has read would read most of
/// the file again for each of them.
#[derive(Default)]
pub(super) struct Pool(Mutex<Vec<Pages>>);

impl Pool {
    pub(super) fn take(&self) -> Pages {
        let mut states = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        states.pop().unwrap_or_else(Pages::new)
    }

    pub(super) fn put_back(&self, pages: Pages) {
        let mut states = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        states.push(pages);
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").finish_non_exhaustive()
    }
}

/// The page descriptors of a dump.
#[derive(Clone, Copy, Debug)]
pub(super) struct Table {
    /// Where they begin in the dump, in bytes.
    pub(super) offset: u64,
    /// How many there are; fewer than 2^33.
    pub(super) count: u64,
    /// The size of the pages.
    pub(super) block: Block,
}

/// Reads pages of one dump.
pub(super) struct Pages {
    unpacker: Unpacker,
    /// Encoded descriptors, and the number of the first.
    descriptors: Vec<u8>,
    first: u64,
    /// A page that many descriptors share, usually the zero page.
    shared: Option<(Descriptor, Vec<u8>)>,
    last: Descriptor,
    window: Vec<u8>,
    window_offset: u64,
}

impl Pages {
    fn new() -> Self {
        Self {
            unpacker: Unpacker::new(),
            descriptors: Vec::new(),
            first: 0,
            shared: None,
            last: Descriptor::default(),
            window: Vec::new(),
            window_offset: 0,
        }
    }

    /// The descriptor of page `number`. `None` if it cannot be read or is damaged.
    pub(super) fn descriptor(
        &mut self,
        source: &impl ReadAt,
        table: Table,
        number: u64,
    ) -> Option<Descriptor> {
        let held = usize_as_u64(self.descriptors.len() / DESCRIPTOR_BYTES);
        let index = number.checked_sub(self.first).filter(|at| *at < held);
        let index = match index {
            Some(index) => index,
            None => {
                self.fetch_descriptors(source, table, number)?;
                0
            }
        };
        let at = u64_as_usize(index).checked_mul(DESCRIPTOR_BYTES)?;
        Descriptor::parse(self.descriptors.get(at..)?, table.block)
    }

    fn fetch_descriptors(&mut self, source: &impl ReadAt, table: Table, number: u64) -> Option<()> {
        let count = table.count.checked_sub(number)?.min(BLOCK_DESCRIPTORS);
        self.first = number;
        self.descriptors
            .resize(u64_as_usize(count).checked_mul(DESCRIPTOR_BYTES)?, 0);
        let within = number.checked_mul(usize_as_u64(DESCRIPTOR_BYTES))?;
        let offset = table.offset.checked_add(within)?;
        let there = read_beginning(source, offset, &mut self.descriptors).unwrap_or(0);
        self.descriptors.truncate(there);
        Some(())
    }

    /// Reads the page that `descriptor` describes into `page`, which is as long. `None` if it cannot be read
    /// or is damaged.
    pub(super) fn read(
        &mut self,
        source: &impl ReadAt,
        descriptor: Descriptor,
        page: &mut [u8],
    ) -> Option<()> {
        if let Some((shared, known)) = &self.shared {
            if *shared == descriptor {
                page.get_mut(..known.len())?.copy_from_slice(known);
                return Some(());
            }
        }
        let (start, end) = match self.in_window(descriptor) {
            Some(place) => place,
            None => {
                self.fetch(source, descriptor)?;
                self.in_window(descriptor)?
            }
        };
        let stored = self.window.get(start..end)?;
        self.unpacker.page(descriptor.flags, stored, page)?;
        // A page that is read twice in a row, or is before the last one, is probably
        // the zero page: it comes first.
        if descriptor == self.last || descriptor.offset < self.last.offset {
            self.shared = Some((descriptor, page.to_vec()));
        }
        self.last = descriptor;
        Some(())
    }

    fn in_window(&self, descriptor: Descriptor) -> Option<(usize, usize)> {
        let start = descriptor.offset.checked_sub(self.window_offset)?;
        let start = u64_as_usize(start);
        let end = start.checked_add(u32_as_usize(descriptor.size))?;
        (end <= self.window.len()).then_some((start, end))
    }

    /// How many bytes to read for a page at `offset` and what may follow it.
    fn next_window(&self, offset: u64) -> usize {
        let held = usize_as_u64(self.window.len());
        let follows = offset
            .checked_sub(self.window_offset)
            .is_some_and(|within| within <= held);
        match follows {
            true => (self.window.len() * 2).clamp(FIRST_WINDOW, LARGEST_WINDOW),
            false => FIRST_WINDOW,
        }
    }

    fn fetch(&mut self, source: &impl ReadAt, descriptor: Descriptor) -> Option<()> {
        let left = source.len().checked_sub(descriptor.offset)?;
        // The largest pages may take more than the first window.
        let size = u32_as_usize(descriptor.size);
        let window = self.next_window(descriptor.offset).max(size);
        self.window.resize(u64_as_usize(left).min(window), 0);
        self.window_offset = descriptor.offset;
        let read = source.read_exact_at(descriptor.offset, &mut self.window);
        if read.is_err() {
            // Perhaps only what follows the page is unreadable.
            self.window.truncate(size);
            let alone = source.read_exact_at(descriptor.offset, &mut self.window);
            if alone.is_err() {
                self.window.clear();
                return None;
            }
        }
        Some(())
    }
}
