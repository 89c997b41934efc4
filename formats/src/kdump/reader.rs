// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reading a kdump-compressed image, made by linpmem or another tool.

use super::bitmap::Index;
use super::header::Headers;
use super::page::{DESCRIPTOR_BYTES, Descriptor, Unpacker};
use super::truncated::{self, Padded, read_beginning};
use super::{BLOCK_BYTES, Error};
use crate::read_span::{mark_unreadable, read_span, split_off_front};
use crate::{Account, Budget, Format, ImageReader, MachineFacts, ReadAt, StoredRange, Truncation};
use linpmem_kinfo::vmcoreinfo::Vmcoreinfo;
use linpmem_phys::num::{u32_as_usize, u64_as_usize, usize_as_u64};
use linpmem_phys::{Errno, PAGE_SIZE, PhysAddr, PhysRange, ReadPhys, SourceError, Unreadables};

/// Reads a kdump-compressed image.
///
/// Pages that the dump lists without holding them, as makedumpfile excludes them on
/// request, are [`linpmem_phys::Content::Skipped`], not zero. A page that is damaged
/// is unreadable (`EIO`); the others can still be read.
#[derive(Debug)]
pub struct Reader<S> {
    source: S,
    index: Index,
    /// For the index.
    _account: Account,
    descriptors: u64,
    machine: MachineFacts,
    warnings: Vec<String>,
    truncation: Option<Truncation>,
}

/// Descriptors to read at a time.
const BLOCK_DESCRIPTORS: usize = 256;

/// Bytes of compressed pages to read at a time. The pages of a chunk are usually next
/// to each other.
const WINDOW_BYTES: usize = 256 << 10;

impl<S: ReadAt> Reader<S> {
    /// Opens the image in `source`.
    ///
    /// # Errors
    /// If it is not such an image, contradicts itself, holds no page, or ends within its
    /// headers. Damage inside a page is found only when it is read. A dump that was cut off
    /// gives what is left of it.
    pub fn new(source: S) -> Result<Self, Error> {
        Self::within(source, &Budget::default())
    }

    /// As [`new`](Self::new), within `budget`.
    ///
    /// # Errors
    /// As [`new`](Self::new), or if the image needs more than the budget.
    pub fn within(source: S, budget: &Budget) -> Result<Self, Error> {
        let account = budget.open(&source);
        let mut headers = Headers::read(&source)?;
        let bitmap = headers.dumped - headers.present;
        let is_cut = source.ends_early() || headers.descriptors > source.len();
        if is_cut {
            let there = truncated::bytes_there(&source, headers.present, bitmap);
            headers.max_pages = headers.max_pages.min(there * 8);
        }
        let mut index;
        let is_cut = if is_cut {
            let padded = Padded::new(&source, &headers);
            index = Index::read(&padded, &headers, &account)?;
            if let Some(page) = padded.first_unknown() {
                truncated::mark_unknown(&mut index, page);
            }
            true
        } else {
            index = Index::read(&source, &headers, &account)?;
            truncated::lacks_pages(&source, &headers, index.dumped)?
        };
        if is_cut {
            truncated::mark_missing(&source, &headers, &mut index)?;
        }
        if index.ranges.is_empty() || (index.dumped == 0 && !is_cut) {
            return Err(match is_cut {
                true => Error::NothingLeft { file: source.len() },
                false => Error::Empty,
            });
        }
        let truncation = is_cut.then(|| {
            let lost_pages = headers.max_pages < headers.planned_pages;
            Truncation::of(&index.ranges, source.len(), lost_pages)
        });
        let cut = truncation.map(|truncation| truncation.to_string());
        let mut warnings: Vec<String> = cut.into_iter().chain(headers.warnings).collect();
        if index.unlisted > 0 {
            warnings.push(format!(
                "the dump holds {} pages that its bitmap of existing pages lacks",
                index.unlisted
            ));
        }
        let mut machine = MachineFacts {
            vmcoreinfo: headers.vmcoreinfo,
            notes: headers.notes,
            ..MachineFacts::default()
        };
        machine.paging_levels = machine.kernel().and_then(Vmcoreinfo::paging_levels);
        Ok(Self {
            source,
            index,
            _account: account,
            descriptors: headers.descriptors,
            machine,
            warnings,
            truncation,
        })
    }

    /// Reads `part` of `stored`, the range at `index`.
    fn read_part(
        &self,
        index: usize,
        stored: &StoredRange,
        part: PhysRange,
        target: &mut [u8],
        unreadable: &mut Unreadables,
    ) {
        let Some(rank) = self.index.ranks.get(index) else {
            return mark_unreadable(part, target, Errno::EIO, unreadable);
        };
        let page_of = |addr: PhysAddr| addr.get() / PAGE_SIZE.get();
        // The part is in the range, and pages are fewer than 2^33.
        let mut number = rank + (page_of(part.start()) - page_of(stored.range.start()));
        let mut pages = Pages::new(&self.source);
        let mut page = [0; BLOCK_BYTES];
        let mut rest = target;
        let mut pieces = part.pieces(PAGE_SIZE).peekable();
        while pieces.peek().is_some() {
            let descriptors = self.descriptors(number);
            for index in 0..BLOCK_DESCRIPTORS {
                let Some(piece) = pieces.next() else {
                    return;
                };
                number += 1;
                let target = split_off_front(&mut rest, piece.len());
                let descriptor = index
                    .checked_mul(DESCRIPTOR_BYTES)
                    .and_then(|at| Descriptor::parse(descriptors.get(at..)?));
                let within = piece.start().get() % PAGE_SIZE.get();
                let bytes = descriptor
                    .and_then(|descriptor| pages.read(descriptor, &mut page))
                    .and_then(|()| {
                        let start = u64_as_usize(within);
                        page.get(start..start.checked_add(target.len())?)
                    });
                match bytes {
                    Some(bytes) => target.copy_from_slice(bytes),
                    None => {
                        let errno = self.errno(descriptor);
                        mark_unreadable(piece, target, errno, unreadable);
                    }
                }
            }
        }
    }

    /// Why the page of `descriptor` cannot be read.
    fn errno(&self, descriptor: Option<Descriptor>) -> Errno {
        let is_there = descriptor.is_some_and(|page| truncated::is_within(page, self.source.len()));
        match self.truncation {
            Some(_) if !is_there => Truncation::ERRNO,
            _ => Errno::EIO,
        }
    }

    /// The descriptors from `number` on, up to [`BLOCK_DESCRIPTORS`] of them. Empty if
    /// they cannot be read: their pages are unreadable then.
    fn descriptors(&self, number: u64) -> Vec<u8> {
        let count = u64_as_usize(self.index.dumped - number).min(BLOCK_DESCRIPTORS);
        let mut encoded = vec![0; count * DESCRIPTOR_BYTES];
        // There are at most 2^33 pages.
        let offset = self.descriptors + number * usize_as_u64(DESCRIPTOR_BYTES);
        match read_beginning(&self.source, offset, &mut encoded) {
            Ok(there) => {
                encoded.truncate(there);
                encoded
            }
            Err(_) => Vec::new(),
        }
    }
}

/// Reads pages by their descriptors.
struct Pages<'a, S> {
    source: &'a S,
    unpacker: Unpacker,
    /// A page that many descriptors share, usually the zero page.
    shared: Option<(Descriptor, [u8; BLOCK_BYTES])>,
    last: Descriptor,
    window: Vec<u8>,
    window_offset: u64,
}

impl<'a, S: ReadAt> Pages<'a, S> {
    fn new(source: &'a S) -> Self {
        Self {
            source,
            unpacker: Unpacker::new(),
            shared: None,
            last: Descriptor::default(),
            window: Vec::new(),
            window_offset: 0,
        }
    }

    fn read(&mut self, descriptor: Descriptor, page: &mut [u8; BLOCK_BYTES]) -> Option<()> {
        if let Some((shared, known)) = &self.shared {
            if *shared == descriptor {
                *page = *known;
                return Some(());
            }
        }
        let flags = descriptor.flags;
        let (start, end) = match self.in_window(descriptor) {
            Some(place) => place,
            None => {
                self.fetch(descriptor)?;
                self.in_window(descriptor)?
            }
        };
        let stored = self.window.get(start..end)?;
        self.unpacker.page(flags, stored, page)?;
        // A page that is read twice in a row, or is before the last one, is probably
        // the zero page: it comes first.
        if descriptor == self.last || descriptor.offset < self.last.offset {
            self.shared = Some((descriptor, *page));
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

    fn fetch(&mut self, descriptor: Descriptor) -> Option<()> {
        let left = self.source.len().checked_sub(descriptor.offset)?;
        self.window.resize(u64_as_usize(left).min(WINDOW_BYTES), 0);
        self.window_offset = descriptor.offset;
        let read = self
            .source
            .read_exact_at(descriptor.offset, &mut self.window);
        if read.is_err() {
            // Perhaps only what follows the page is unreadable.
            self.window.truncate(u32_as_usize(descriptor.size));
            let alone = self
                .source
                .read_exact_at(descriptor.offset, &mut self.window);
            if alone.is_err() {
                self.window.clear();
                return None;
            }
        }
        Some(())
    }
}

impl<S: ReadAt> ReadPhys for Reader<S> {
    fn read_phys(
        &self,
        start: PhysAddr,
        buf: &mut [u8],
        unreadable: &mut Unreadables,
    ) -> Result<(), SourceError> {
        read_span(
            &self.index.ranges,
            start,
            buf,
            unreadable,
            |index, stored, part, target, unreadable| {
                self.read_part(index, stored, part, target, unreadable);
            },
        )
    }
}

impl<S: ReadAt> ImageReader for Reader<S> {
    fn format(&self) -> Format {
        Format::Kdump
    }

    fn ranges(&self) -> &[StoredRange] {
        &self.index.ranges
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
