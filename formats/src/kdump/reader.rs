// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reading a kdump-compressed image, made by linpmem or another tool.

use super::Error;
use super::bitmap::Index;
use super::header::Headers;
use super::page::Descriptor;
use super::pages::{Pool, Table};
use super::truncated::{self, Padded};
use crate::read_span::{mark_unreadable, read_span, split_off_front};
use crate::{Account, Budget, Format, ImageReader, MachineFacts, ReadAt, StoredRange, Truncation};
use linpmem_kinfo::vmcoreinfo::Vmcoreinfo;
use linpmem_phys::num::u64_as_usize;
use linpmem_phys::{Errno, PhysAddr, PhysRange, ReadPhys, SourceError, Unreadables};

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
    table: Table,
    pages: Pool,
    machine: MachineFacts,
    warnings: Vec<String>,
    truncation: Option<Truncation>,
}

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
                truncated::mark_unknown(&mut index, headers.block.addr(page));
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
            architecture: headers.architecture,
            vmcoreinfo: headers.vmcoreinfo,
            notes: headers.notes,
            ..MachineFacts::default()
        };
        machine.paging_levels = machine.kernel().and_then(Vmcoreinfo::paging_levels);
        let table = Table {
            offset: headers.descriptors,
            count: index.dumped,
            block: headers.block,
        };
        Ok(Self {
            source,
            index,
            _account: account,
            table,
            pages: Pool::default(),
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
        let block = self.table.block;
        // The part is in the range, and pages are fewer than 2^33.
        let first = rank + (block.page_of(part.start()) - block.page_of(stored.range.start()));
        let mut pages = self.pages.take();
        let mut page = vec![0; block.bytes()];
        let mut rest = target;
        for (number, piece) in (first..).zip(part.pieces(block.phys_len())) {
            let descriptor = pages.descriptor(&self.source, self.table, number);
            let target = split_off_front(&mut rest, piece.len());
            let within = piece.start().get() % block.len();
            let bytes = descriptor
                .and_then(|descriptor| pages.read(&self.source, descriptor, &mut page))
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
        self.pages.put_back(pages);
    }

    /// Why the page of `descriptor` cannot be read.
    fn errno(&self, descriptor: Option<Descriptor>) -> Errno {
        let is_there = descriptor.is_some_and(|page| truncated::is_within(page, self.source.len()));
        match self.truncation {
            Some(_) if !is_there => Truncation::ERRNO,
            _ => Errno::EIO,
        }
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
