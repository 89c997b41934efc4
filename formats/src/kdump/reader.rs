// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reading a kdump-compressed image, ours or another's.

use super::header::{Headers, within};
use super::index::Index;
use super::page::{DESCRIPTOR_BYTES, Descriptor, Unpacker};
use super::{BLOCK_BYTES, Error};
use crate::linear::{absent, read_stored, take};
use crate::{Format, ImageReader, MachineFacts, ReadAt, StoredRange};
use linpmem_phys::{Errno, PAGE_SIZE, PhysAddr, PhysRange, ReadPhys, SourceError, Unreadables};

/// Reads a kdump-compressed image.
///
/// Pages that it names but does not hold, as makedumpfile leaves them out on
/// request, are [`linpmem_phys::Content::Skipped`] and not zero.
#[derive(Debug)]
pub struct Reader<S> {
    source: S,
    index: Index,
    descriptors: u64,
    machine: MachineFacts,
    warnings: Vec<String>,
}

/// Descriptors that are read at once.
const BLOCK_DESCRIPTORS: usize = 256;

/// Bytes of compressed pages that are read at once: those of one chunk mostly lie
/// together.
const WINDOW_BYTES: usize = 256 << 10;

impl<S: ReadAt> Reader<S> {
    /// The image in `source`.
    ///
    /// # Errors
    /// If it is no such image, contradicts itself, holds no page, or reaches
    /// beyond the file. Whether a page decompresses is found when it is read.
    pub fn new(source: S) -> Result<Self, Error> {
        let headers = Headers::read(&source)?;
        let index = Index::read(&source, &headers)?;
        if index.dumped == 0 {
            return Err(Error::Empty);
        }
        let bytes = u64::try_from(DESCRIPTOR_BYTES).unwrap_or(u64::MAX);
        let table = index.dumped.saturating_mul(bytes);
        within(&source, "page descriptors", headers.descriptors, table)?;
        let mut warnings = headers.warnings;
        if index.unnamed > 0 {
            warnings.push(format!(
                "{} pages are in the dump but not in its map of the machine",
                index.unnamed
            ));
        }
        let mut machine = MachineFacts {
            vmcoreinfo: headers.vmcoreinfo,
            ..MachineFacts::default()
        };
        machine.paging_levels = machine.told_paging_levels();
        Ok(Self {
            source,
            index,
            descriptors: headers.descriptors,
            machine,
            warnings,
        })
    }

    /// Reads `part` of range number `index`.
    fn read_part(
        &self,
        index: usize,
        part: PhysRange,
        target: &mut [u8],
        unreadable: &mut Unreadables,
    ) {
        let place = self
            .index
            .ranges
            .get(index)
            .zip(self.index.ranks.get(index));
        let Some((stored, rank)) = place else {
            return absent(part, target, Errno::EIO, unreadable);
        };
        let page_of = |addr: PhysAddr| addr.get() / PAGE_SIZE.get();
        let first = page_of(part.start()).saturating_sub(page_of(stored.range.start()));
        let mut number = rank.saturating_add(first);
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
                number = number.saturating_add(1);
                let target = take(&mut rest, piece.len());
                let descriptor = index
                    .checked_mul(DESCRIPTOR_BYTES)
                    .and_then(|at| Descriptor::parse(descriptors.get(at..)?));
                let within = piece.start().get() % PAGE_SIZE.get();
                let bytes = descriptor
                    .and_then(|descriptor| pages.read(descriptor, &mut page))
                    .and_then(|()| {
                        let start = usize::try_from(within).ok()?;
                        page.get(start..start.checked_add(target.len())?)
                    });
                match bytes {
                    Some(bytes) => target.copy_from_slice(bytes),
                    None => absent(piece, target, Errno::EIO, unreadable),
                }
            }
        }
    }

    /// Descriptors from `number` on, as many as there are up to a block of them.
    fn descriptors(&self, number: u64) -> Vec<u8> {
        let count = self.index.dumped.saturating_sub(number);
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let count = count.min(BLOCK_DESCRIPTORS);
        let mut encoded = vec![0; count.saturating_mul(DESCRIPTOR_BYTES)];
        let bytes = u64::try_from(DESCRIPTOR_BYTES).unwrap_or(u64::MAX);
        // The table lies within the file: no sum overflows.
        let offset = self
            .descriptors
            .saturating_add(number.saturating_mul(bytes));
        match self.source.read_exact_at(offset, &mut encoded) {
            Ok(()) => encoded,
            Err(_) => Vec::new(),
        }
    }
}

/// Pages, read where descriptors say.
struct Pages<'a, S> {
    source: &'a S,
    unpacker: Unpacker,
    /// The page that many share, as a rule the zero page.
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
        // Twice, or back to the front: that is where the zero page lies.
        if descriptor == self.last || descriptor.offset < self.last.offset {
            self.shared = Some((descriptor, *page));
        }
        self.last = descriptor;
        Some(())
    }

    fn in_window(&self, descriptor: Descriptor) -> Option<(usize, usize)> {
        let start = descriptor.offset.checked_sub(self.window_offset)?;
        let start = usize::try_from(start).ok()?;
        let end = start.checked_add(usize::try_from(descriptor.size).ok()?)?;
        (end <= self.window.len()).then_some((start, end))
    }

    fn fetch(&mut self, descriptor: Descriptor) -> Option<()> {
        let left = self.source.len().checked_sub(descriptor.offset)?;
        let len = usize::try_from(left).unwrap_or(usize::MAX);
        self.window.resize(len.min(WINDOW_BYTES), 0);
        self.window_offset = descriptor.offset;
        let read = self
            .source
            .read_exact_at(descriptor.offset, &mut self.window);
        if read.is_err() {
            // What lies behind the page may be what the disk does not give.
            let size = usize::try_from(descriptor.size).ok()?;
            self.window.truncate(size);
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
        read_stored(
            &self.index.ranges,
            start,
            buf,
            unreadable,
            |index, part, target, unreadable| self.read_part(index, part, target, unreadable),
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
}
