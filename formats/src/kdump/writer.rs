// SPDX-License-Identifier: MIT OR Apache-2.0
//! Writing a kdump-compressed image, front to back.

use super::bitmap::Bitmap;
use super::block::Block;
use super::dumped_bitmap::DumpedBitmap;
use super::encoder::{PageEncoder, Stored, decode};
use super::layout::Layout;
use super::page::{Compression, DESCRIPTOR_BYTES, Descriptor, Packer};
use super::{flattened, header};
use crate::write_order::WriteOrder;
use crate::{Chunk, ChunkEncoder, ImageOutput, ImagePlan, ImageWriter, WriteError};
use bytes::Bytes;
use linpmem_kinfo::vmcoreinfo::Vmcoreinfo;
use linpmem_phys::{PAGE_SIZE, PhysAddr, PhysLen, PhysRange};
use std::sync::Arc;

/// Writes a kdump-compressed image as makedumpfile's flattened stream, which crash,
/// drgn, makedumpfile and libkdumpfile open as it is.
///
/// In a dump, the page descriptors come before the pages, but the compressed size of a
/// page, and whether it can be read at all, is known only afterwards. In the flattened
/// stream each piece carries its offset, so that nothing has to be rewritten and only
/// a few bytes of a bitmap are kept in memory.
///
/// All zero pages share one copy; pages that could not be read are left out, and a page of
/// which a part could be read is zero in the rest. The format has no room for the kinds of
/// the ranges.
#[derive(Debug)]
pub struct Writer {
    plan: ImagePlan,
    compression: Compression,
    layout: Layout,
    order: WriteOrder,
    stream: flattened::Writer,
    dumped: DumpedBitmap,
    zero: Descriptor,
    /// The number of descriptors written so far.
    pages: u64,
    /// Where the next page goes in the dump, in bytes.
    next: u64,
}

impl Writer {
    /// A writer of the image that `plan` describes.
    ///
    /// # Errors
    /// If the plan has memory above 32 TiB, since the bitmaps of a dump cover all
    /// addresses, or a VMCOREINFO text above 1 MiB, or if a range has parts of pages of the
    /// plan's kernel.
    pub fn new(plan: &ImagePlan, compression: Compression) -> Result<Self, WriteError> {
        let page = plan.machine().kernel().and_then(Vmcoreinfo::page_size);
        let page = page.unwrap_or(PAGE_SIZE.get());
        let block = Block::of(page).ok_or_else(|| {
            WriteError::Unsupported(format!(
                "VMCOREINFO says that the kernel's pages have {}, and a kdump image has pages of \
                 4, 16 or 64 KiB: write another format, such as an ELF core (--format elf)",
                PhysLen::new(page)
            ))
        })?;
        let layout = Layout::new(plan, block)?;
        Ok(Self {
            order: WriteOrder::new(plan),
            plan: plan.clone(),
            compression,
            stream: flattened::Writer,
            dumped: DumpedBitmap::new(layout.dumped, layout.bitmap_bytes()),
            zero: Descriptor::default(),
            pages: 0,
            next: layout.data,
            layout,
        })
    }

    const fn block(&self) -> Block {
        self.layout.block
    }

    fn zero_page(&mut self, out: &mut dyn ImageOutput) -> Result<(), WriteError> {
        let zeros = vec![0; self.block().bytes()];
        let mut packer = Packer::new(self.compression, self.block());
        let (stored, flags) = match packer.page(&zeros) {
            Some(packed) => (packed, self.compression.flag()),
            None => (zeros.as_slice(), 0),
        };
        self.zero = self.place(stored, flags)?;
        let offset = self.zero.offset;
        self.stream.bytes(offset, stored, out)
    }

    const fn page_encoder(&self) -> PageEncoder {
        PageEncoder {
            compression: self.compression,
            block: self.layout.block,
        }
    }

    /// The descriptor of the next page.
    fn place(&mut self, stored: &[u8], flags: u32) -> Result<Descriptor, WriteError> {
        let offset = self.next;
        let size = u32::try_from(stored.len())
            .map_err(|_| WriteError::Misuse("a page takes more than 4 GiB"))?;
        // At most 2^33 pages of at most 64 KiB each.
        self.next = offset + u64::from(size);
        Ok(Descriptor {
            offset,
            size,
            flags,
        })
    }

    /// Writes the pages of a chunk. `body` begins with all that are not zero, one after
    /// the other.
    fn write_pages(
        &mut self,
        chunk: &Chunk<'_>,
        stored: &[Stored<'_>],
        body: &Bytes,
        out: &mut dyn ImageOutput,
    ) -> Result<(), WriteError> {
        let mut descriptors = Vec::with_capacity(stored.len() * DESCRIPTOR_BYTES);
        let mut readable = Vec::with_capacity(stored.len());
        let begin = self.next;
        let first = self.pages;
        let mut addr = chunk.start;
        for &stored in stored {
            let page = addr;
            // The chunk is within a range.
            addr = PhysAddr::new(page.get() + self.block().len());
            if is_unreadable(chunk, page, self.block().phys_len()) {
                continue;
            }
            let descriptor = match stored {
                Stored::Zero => self.zero,
                Stored::Plain(bytes) => self.place(bytes, 0)?,
                Stored::Compressed(bytes) => self.place(bytes, self.compression.flag())?,
            };
            readable.push(stored);
            descriptor.encode(&mut descriptors);
            let number = self.block().page_of(page);
            self.dumped.set(number, self.stream, out)?;
            self.pages += 1;
        }
        self.stream
            .bytes(self.layout.descriptor(first), &descriptors, out)?;
        let bytes = if readable.len() == stored.len() {
            let len: usize = stored.iter().map(Stored::len).sum();
            body.slice(..len)
        } else {
            gather(&readable).into()
        };
        self.stream.shared(begin, &bytes, out)?;
        // Only now, so that no page is listed that an interrupted dump lacks.
        self.dumped
            .settle(self.layout.block.page_of(addr), self.stream, out)
    }
}

/// The pages that are not zero, one after the other.
fn gather(pages: &[Stored<'_>]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(pages.iter().map(Stored::len).sum());
    for page in pages {
        match page {
            Stored::Zero => {}
            Stored::Plain(stored) | Stored::Compressed(stored) => bytes.extend_from_slice(stored),
        }
    }
    bytes
}

/// Whether nothing of `page` could be read. A page of which a part could be read is kept,
/// with zeros for the rest.
fn is_unreadable(chunk: &Chunk<'_>, page: PhysAddr, len: PhysLen) -> bool {
    let Ok(page) = PhysRange::from_len(page, len) else {
        return false;
    };
    let lost = chunk.unreadable.iter().filter_map(|item| {
        let part = item.range.intersect(page)?;
        Some(part.len().get())
    });
    // They do not overlap: the sum is at most that of the page.
    lost.sum::<u64>() >= len.get()
}

impl ImageWriter for Writer {
    fn data_offset(&self, _index: usize) -> Option<u64> {
        None // memory is compressed
    }

    fn encoder(&self) -> Option<Arc<dyn ChunkEncoder>> {
        Some(Arc::new(self.page_encoder()))
    }

    fn begin(&mut self, out: &mut dyn ImageOutput) -> Result<(), WriteError> {
        self.order.begin()?;
        self.stream.begin(out)?;
        let status = self.compression.flag();
        let headers = header::encode(&self.layout, self.plan.machine(), status)?;
        self.stream.bytes(0, &headers, out)?;
        let mut present = Bitmap::new(self.layout.present, self.layout.bitmap_bytes());
        for planned in self.plan.ranges() {
            let range = planned.range;
            let pages = self.block().page_of(range.start())..self.block().page_of(range.end());
            for page in pages {
                present.set(page, self.stream, out)?;
            }
        }
        present.finish(self.stream, out)?;
        self.zero_page(out)
    }

    fn chunk(&mut self, chunk: &Chunk<'_>, out: &mut dyn ImageOutput) -> Result<(), WriteError> {
        self.order.advance(chunk)?;
        let block = self.block();
        let is_whole = chunk.start.get() % block.len() == 0;
        if chunk.data.len() % block.bytes() != 0 || !is_whole {
            return Err(WriteError::Misuse("a chunk has a partial page"));
        }
        let pages = chunk.data.len() / block.bytes();
        if chunk.is_zero() {
            let zeros = vec![Stored::Zero; pages];
            return self.write_pages(chunk, &zeros, &Bytes::new(), out);
        }
        let frame = chunk.frame.clone().unwrap_or_else(|| {
            let mut encoded = Vec::new();
            self.page_encoder()
                .encode(chunk.start, &chunk.data, &mut encoded);
            encoded.into()
        });
        let stored = decode(&frame, pages, block).ok_or(WriteError::Misuse(
            "a chunk was encoded by something other than this writer's encoder",
        ))?;
        self.write_pages(chunk, &stored, &frame, out)
    }

    fn finish(&mut self, out: &mut dyn ImageOutput) -> Result<(), WriteError> {
        self.order.finish()?;
        self.dumped.finish(self.stream, out)?;
        // Fills the room of descriptors of unreadable pages, so that the stream covers
        // every byte of the dump.
        let end = self.layout.descriptor(self.pages);
        let left = self
            .layout
            .data
            .checked_sub(end)
            .ok_or(WriteError::Misuse("a dump has more pages than planned"))?;
        self.stream.zeros(end, left, out)?;
        self.stream.end(out)
    }
}
