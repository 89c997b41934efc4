// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where the frames of a compressed file lie.

use super::scan;
use super::seek_table::{
    ENTRY_BYTES, FOOTER_BYTES, HEADER_BYTES, MAX_FRAMES, SEEKABLE_MAGIC, SKIPPABLE_MAGIC,
};
use super::{Error, MAX_CONTENT_BYTES};
use crate::ReadAt;
use linpmem_phys::PhysLen;
use scroll::{LE, Pread};

/// What lies where an entry says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Frames with all that belongs to them.
    Frame,
    /// The compressed bytes of an LZ4 block, without its header.
    Block,
    /// Bytes as they are.
    Stored,
}

/// One frame that holds something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) form: Form,
    /// Where the frame begins in the file.
    pub(super) file_offset: u64,
    pub(super) compressed_bytes: u32,
    /// Where its content begins in the whole content.
    pub(super) content_offset: u64,
    pub(super) content_bytes: u32,
}

/// The frames of a file.
///
/// # Invariants
/// Their content follows on each other from offset 0; none is empty or larger
/// than [`MAX_CONTENT_BYTES`].
#[derive(Debug, Default)]
pub(super) struct Index {
    entries: Vec<Entry>,
    content_bytes: u64,
}

/// Bytes of the seek table that are read at once.
const TABLE_BLOCK_BYTES: u64 = 96 << 10;

impl Index {
    /// Of a zstd file, from its seek table, or, if there is none, by finding the
    /// frames one by one.
    pub(super) fn of(source: &impl ReadAt) -> Result<Self, Error> {
        match Self::from_table(source)? {
            Some(index) => Ok(index),
            None => scan::frames(source),
        }
    }

    pub(super) fn content_bytes(&self) -> u64 {
        self.content_bytes
    }

    #[cfg(test)]
    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The frame that holds the content's byte at `offset`, and its number.
    pub(super) fn at(&self, offset: u64) -> Option<(usize, Entry)> {
        let number = self
            .entries
            .partition_point(|entry| entry.content_offset <= offset)
            .checked_sub(1)?;
        let entry = self.entries.get(number)?;
        (offset < self.content_bytes).then_some((number, *entry))
    }

    pub(super) fn push(
        &mut self,
        form: Form,
        file_offset: u64,
        compressed_bytes: u32,
        content_bytes: u64,
    ) -> Result<(), Error> {
        if content_bytes == 0 {
            return Ok(());
        }
        if self.entries.len() >= usize::try_from(MAX_FRAMES).unwrap_or(usize::MAX) {
            return Err(Error::TooManyFrames);
        }
        let small = u32::try_from(content_bytes)
            .ok()
            .filter(|bytes| *bytes <= MAX_CONTENT_BYTES);
        let Some(content_bytes) = small else {
            return Err(Error::FrameTooLarge {
                offset: file_offset,
                content: PhysLen::new(content_bytes),
            });
        };
        self.entries.push(Entry {
            form,
            file_offset,
            compressed_bytes,
            content_offset: self.content_bytes,
            content_bytes,
        });
        // 2^27 frames of 2^26 bytes at most.
        self.content_bytes = self.content_bytes.saturating_add(u64::from(content_bytes));
        Ok(())
    }

    /// `None` if the file does not end with a seek table.
    fn from_table(source: &impl ReadAt) -> Result<Option<Self>, Error> {
        let file_bytes = source.len();
        let Some(footer_at) = file_bytes.checked_sub(u64::from(FOOTER_BYTES)) else {
            return Ok(None);
        };
        let footer: [u8; 9] = read(source, footer_at)?;
        if number(&footer, 5, footer_at)? != SEEKABLE_MAGIC {
            return Ok(None);
        }
        let damaged = |what| Error::Damaged {
            offset: footer_at,
            what,
        };
        let count = number(&footer, 0, footer_at)?;
        let [.., descriptor, _, _, _, _] = footer;
        if count > MAX_FRAMES {
            return Err(Error::TooManyFrames);
        }
        if descriptor & 0x7c != 0 {
            return Err(damaged("the seek table is of an unknown kind"));
        }
        // Checksums of the content; the frames have their own.
        let entry_bytes = ENTRY_BYTES.saturating_add(if descriptor & 0x80 == 0 { 0 } else { 4 });
        let payload = u64::from(count)
            .saturating_mul(u64::from(entry_bytes))
            .saturating_add(u64::from(FOOTER_BYTES));
        let table_at = footer_at
            .checked_add(u64::from(FOOTER_BYTES))
            .and_then(|end| end.checked_sub(payload))
            .and_then(|entries| entries.checked_sub(u64::from(HEADER_BYTES)))
            .ok_or_else(|| damaged("the seek table is larger than the file"))?;
        let header: [u8; 8] = read(source, table_at)?;
        if number(&header, 0, table_at)? != SKIPPABLE_MAGIC
            || u64::from(number(&header, 4, table_at)?) != payload
        {
            return Err(Error::Damaged {
                offset: table_at,
                what: "the seek table does not begin where its end says",
            });
        }
        let entries_at = table_at.saturating_add(u64::from(HEADER_BYTES));
        let entries_bytes = payload.saturating_sub(u64::from(FOOTER_BYTES));
        let mut index = Self::default();
        let mut next_frame: u64 = 0;
        let mut done: u64 = 0;
        let mut block = Vec::new();
        while done < entries_bytes {
            let offset = entries_at.saturating_add(done);
            let size = entries_bytes.saturating_sub(done).min(TABLE_BLOCK_BYTES);
            block.resize(usize::try_from(size).unwrap_or(0), 0);
            source
                .read_exact_at(offset, &mut block)
                .map_err(|source| Error::Io { offset, source })?;
            for entry in block.chunks_exact(usize::try_from(entry_bytes).unwrap_or(8)) {
                let compressed = number(entry, 0, offset)?;
                let content = number(entry, 4, offset)?;
                let end = next_frame.saturating_add(u64::from(compressed));
                if compressed < HEADER_BYTES || end > table_at {
                    return Err(Error::Damaged {
                        offset,
                        what: "the seek table lists a frame that the file has no room for",
                    });
                }
                index.push(Form::Frame, next_frame, compressed, u64::from(content))?;
                next_frame = end;
            }
            done = done.saturating_add(size);
        }
        if next_frame != table_at {
            return Err(Error::Damaged {
                offset: next_frame,
                what: "the seek table does not list what lies here",
            });
        }
        Ok(Some(index))
    }
}

pub(super) fn read<const N: usize>(source: &impl ReadAt, offset: u64) -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    source
        .read_exact_at(offset, &mut bytes)
        .map_err(|source| Error::Io { offset, source })?;
    Ok(bytes)
}

/// The little-endian number at `at` of `bytes`, which were read at `offset`.
fn number(bytes: &[u8], at: usize, offset: u64) -> Result<u32, Error> {
    bytes.pread_with(at, LE).map_err(|_| Error::Damaged {
        offset,
        what: "it ends within a number",
    })
}
