// SPDX-License-Identifier: MIT OR Apache-2.0
//! Writing a kdump-compressed image, front to back.

use super::bitmap::Bitmap;
use super::compression::Compression;
use super::encoder::{PageEncoder, Stored, decode};
use super::layout::Layout;
use super::page::{Descriptor, Packer};
use super::stream::Stream;
use super::{BLOCK_BYTES, header};
use crate::sequence::Sequence;
use crate::{Chunk, ChunkEncoder, ImageOutput, ImagePlan, ImageWriter, WriteError};
use bytes::Bytes;
use linpmem_phys::{PAGE_SIZE, PhysAddr};
use std::sync::Arc;

/// Writes a kdump-compressed image as makedumpfile's flattened stream, which
/// crash, drgn, makedumpfile and libkdumpfile open as it is.
///
/// In a dump, the table of page descriptors stands before the pages, but how long
/// each of them is, and whether it could be read at all, is known only afterwards.
/// In the flattened stream each piece carries its place: nothing is written twice
/// and nothing is kept in memory but a block of a bitmap.
///
/// All zero pages share their bytes; pages that could not be read are left out.
#[derive(Debug)]
pub struct Writer {
    plan: ImagePlan,
    compression: Compression,
    layout: Layout,
    sequence: Sequence,
    stream: Stream,
    dumped: Bitmap,
    zero: Descriptor,
    /// Descriptors written so far.
    pages: u64,
    /// Where the next page goes in the dump.
    next: u64,
}

impl Writer {
    /// A writer of the image that `plan` describes.
    ///
    /// # Errors
    /// If it reaches above 32 TiB: the bitmaps of a dump cover all addresses.
    pub fn new(plan: &ImagePlan, compression: Compression) -> Result<Self, WriteError> {
        let layout = Layout::new(plan)?;
        Ok(Self {
            sequence: Sequence::new(plan),
            plan: plan.clone(),
            compression,
            stream: Stream,
            dumped: Bitmap::new(layout.dumped, u64::from(layout.bitmap_blocks)),
            zero: Descriptor::default(),
            pages: 0,
            next: layout.data,
            layout,
        })
    }

    fn zero_page(&mut self, out: &mut dyn ImageOutput) -> Result<(), WriteError> {
        let zeros = [0; BLOCK_BYTES];
        let mut packer = Packer::new(self.compression);
        let (stored, flags) = match packer.page(&zeros) {
            Some(packed) => (packed, self.compression.flag()),
            None => (zeros.as_slice(), 0),
        };
        self.zero = self.place(stored, flags);
        let offset = self.zero.offset;
        self.stream.bytes(offset, stored, out)
    }

    /// The descriptor of the page that comes next.
    fn place(&mut self, stored: &[u8], flags: u32) -> Descriptor {
        let offset = self.next;
        let size = u32::try_from(stored.len()).unwrap_or(u32::MAX);
        self.next = offset.saturating_add(u64::from(size));
        Descriptor {
            offset,
            size,
            flags,
        }
    }

    fn write_pages(
        &mut self,
        chunk: &Chunk<'_>,
        stored: &[Stored<'_>],
        out: &mut dyn ImageOutput,
    ) -> Result<(), WriteError> {
        let mut descriptors = Vec::new();
        let mut bytes = Vec::with_capacity(chunk.frame.as_ref().map_or(0, Bytes::len));
        let begin = self.next;
        let first = self.pages;
        let mut addr = chunk.start;
        for stored in stored {
            let page = addr;
            addr = PhysAddr::new(page.get().saturating_add(PAGE_SIZE.get()));
            if is_unreadable(chunk, page) {
                continue;
            }
            let descriptor = match *stored {
                Stored::Zero => self.zero,
                Stored::Plain(stored) => {
                    bytes.extend_from_slice(stored);
                    self.place(stored, 0)
                }
                Stored::Compressed(stored) => {
                    bytes.extend_from_slice(stored);
                    self.place(stored, self.compression.flag())
                }
            };
            descriptor.encode(&mut descriptors);
            let number = page.get() / PAGE_SIZE.get();
            self.dumped.set(number, self.stream, out)?;
            self.pages = self.pages.saturating_add(1);
        }
        self.stream
            .bytes(self.layout.descriptor(first), &descriptors, out)?;
        self.stream.shared(begin, &Bytes::from(bytes), out)
    }
}

fn is_unreadable(chunk: &Chunk<'_>, page: PhysAddr) -> bool {
    chunk
        .unreadable
        .iter()
        .any(|item| item.range.page_hull().unwrap_or(item.range).contains(page))
}

impl ImageWriter for Writer {
    /// Nowhere in one piece.
    fn data_offset(&self, _index: usize) -> Option<u64> {
        None
    }

    fn encoder(&self) -> Option<Arc<dyn ChunkEncoder>> {
        Some(Arc::new(PageEncoder(self.compression)))
    }

    fn begin(&mut self, out: &mut dyn ImageOutput) -> Result<(), WriteError> {
        self.sequence.begin()?;
        self.stream.begin(out)?;
        let status = self.compression.flag();
        let headers = header::encode(&self.layout, self.plan.machine(), status);
        self.stream.bytes(0, &headers, out)?;
        let blocks = u64::from(self.layout.bitmap_blocks);
        let mut present = Bitmap::new(self.layout.present, blocks);
        for planned in self.plan.ranges() {
            let pages = planned.range.start().get() / PAGE_SIZE.get()
                ..planned.range.end().get() / PAGE_SIZE.get();
            for page in pages {
                present.set(page, self.stream, out)?;
            }
        }
        present.finish(self.stream, out)?;
        self.zero_page(out)
    }

    fn chunk(&mut self, chunk: &Chunk<'_>, out: &mut dyn ImageOutput) -> Result<(), WriteError> {
        self.sequence.advance(chunk)?;
        if chunk.data.len() % BLOCK_BYTES != 0 || !chunk.start.is_page_aligned() {
            return Err(WriteError::Misuse("a chunk has half a page"));
        }
        let pages = chunk.data.len() / BLOCK_BYTES;
        if chunk.is_zero() {
            return self.write_pages(chunk, &vec![Stored::Zero; pages], out);
        }
        let mut encoded = Vec::new();
        let frame = chunk.frame.as_deref().unwrap_or_else(|| {
            PageEncoder(self.compression).encode(chunk.start, &chunk.data, &mut encoded);
            &encoded
        });
        let stored = decode(frame, pages).ok_or(WriteError::Misuse(
            "a chunk was compressed by another encoder",
        ))?;
        self.write_pages(chunk, &stored, out)
    }

    fn finish(&mut self, out: &mut dyn ImageOutput) -> Result<(), WriteError> {
        self.sequence.finish()?;
        self.dumped.finish(self.stream, out)?;
        // Room that unreadable pages left, so that no byte of the dump is missing.
        let end = self.layout.descriptor(self.pages);
        let left = self.layout.data.saturating_sub(end);
        self.stream.zeros(end, left, out)?;
        self.stream.end(out)
    }
}
