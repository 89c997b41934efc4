// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where the frames of a compressed file are, and the walk that finds them.

use super::zstd::MAX_FRAMES;
use super::{Error, MAX_CONTENT_BYTES};
use crate::{Account, ReadAt};
use linpmem_phys::PhysLen;
use linpmem_phys::num::{u32_as_usize, u64_as_usize, usize_as_u64};
use std::io::Read;

/// What an entry refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// One or more complete frames.
    Frame,
    /// The compressed bytes of an LZ4 block, without its header.
    Block,
    /// Uncompressed bytes.
    Stored,
    /// The beginning of a frame that continued beyond the end of the file.
    Cut,
}

/// A frame, or a part of one, that holds content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) form: Form,
    /// Where it begins in the file, in bytes.
    pub(super) file_offset: u64,
    pub(super) compressed_bytes: u32,
    /// Where its content begins in the whole content, in bytes.
    pub(super) content_offset: u64,
    pub(super) content_bytes: u32,
}

/// The frames of a file.
///
/// # Invariants
/// Their content is contiguous from offset 0; no entry is empty or larger than
/// [`MAX_CONTENT_BYTES`].
#[derive(Debug)]
pub(super) struct Index {
    entries: Vec<Entry>,
    content_bytes: u64,
    account: Account,
    /// Where the frame begins within which the file ends, if it does.
    cut_frame: Option<u64>,
}

/// The most bytes that `content` bytes may be compressed to. No method makes more than a
/// few bytes more out of a block; there is room for small blocks and empty frames.
pub(super) const fn max_compressed_bytes(content: u64) -> u64 {
    content + content / 8 + (64 << 10)
}

impl Index {
    /// An empty index that `account` pays for.
    pub(super) const fn new(account: Account) -> Self {
        Self {
            entries: Vec::new(),
            content_bytes: 0,
            account,
            cut_frame: None,
        }
    }

    pub(super) fn content_bytes(&self) -> u64 {
        self.content_bytes
    }

    /// Whether the file ends within a frame.
    pub(super) fn is_cut(&self) -> bool {
        self.cut_frame.is_some()
    }

    /// Notes that the file ends within the frame at `offset`.
    pub(super) fn cut_within(&mut self, offset: u64) {
        self.cut_frame = Some(offset);
    }

    /// Adds what is left of the frame at `offset`, the last one of a file of `file` bytes:
    /// as much as `decode` can read of it.
    pub(super) fn push_rest(
        &mut self,
        source: &impl ReadAt,
        offset: u64,
        decode: impl FnOnce(&[u8]) -> u64,
    ) -> Result<(), Error> {
        let left = source.len().saturating_sub(offset);
        // A frame of no more content than is accepted takes hardly more than that.
        let limit = 2 * u64::from(MAX_CONTENT_BYTES);
        let Some(compressed) = u32::try_from(left).ok().filter(|_| left <= limit) else {
            return Ok(());
        };
        let mut bytes = vec![0; u32_as_usize(compressed)];
        source
            .read_exact_at(offset, &mut bytes)
            .map_err(|source| Error::Io { offset, source })?;
        let content = decode(&bytes).min(u64::from(MAX_CONTENT_BYTES));
        self.push(Form::Cut, offset, compressed, content)
    }

    #[cfg(test)]
    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The entry that holds the content's byte at `offset`, and its index.
    pub(super) fn at(&self, offset: u64) -> Option<(usize, Entry)> {
        let number = self
            .entries
            .partition_point(|entry| entry.content_offset <= offset)
            .checked_sub(1)?;
        let entry = self.entries.get(number)?;
        (offset < self.content_bytes).then_some((number, *entry))
    }

    /// Adds an entry; one without content is left out.
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
        if self.entries.len() >= u32_as_usize(MAX_FRAMES) {
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
        if u64::from(compressed_bytes) > max_compressed_bytes(u64::from(content_bytes)) {
            return Err(Error::Damaged {
                offset: file_offset,
                what: "a frame takes more bytes than its content could",
            });
        }
        self.account
            .hold_items::<Entry>("the frames of a compressed file", 1)?;
        self.entries.push(Entry {
            form,
            file_offset,
            compressed_bytes,
            content_offset: self.content_bytes,
            content_bytes,
        });
        // At most 2^27 frames of 2^26 bytes each.
        self.content_bytes += u64::from(content_bytes);
        Ok(())
    }
}

/// Bytes that a [`Cursor`] reads ahead. Few, since it skips most of what is between two
/// headers.
const AHEAD_BYTES: usize = 4096;

/// A position in the file that moves from header to header.
///
/// # Invariants
/// `offset` and the bytes read ahead are within the file.
pub(super) struct Cursor<'a, S> {
    source: &'a S,
    offset: u64,
    ahead: Vec<u8>,
    /// Where `ahead` begins in the file.
    ahead_at: u64,
}

impl<'a, S: ReadAt> Cursor<'a, S> {
    pub(super) fn new(source: &'a S) -> Self {
        Self {
            source,
            offset: 0,
            ahead: Vec::new(),
            ahead_at: 0,
        }
    }

    /// Reads a little-endian number of `N` bytes, at most 8.
    pub(super) fn number<const N: usize>(&mut self) -> Result<u64, Error> {
        const { assert!(N <= 8) }
        let end = self.end_of(usize_as_u64(N))?;
        let ahead_end = self.ahead_at + usize_as_u64(self.ahead.len());
        if self.offset < self.ahead_at || end > ahead_end {
            let left = self.source.len() - self.offset;
            self.ahead.resize(u64_as_usize(left).min(AHEAD_BYTES), 0);
            self.ahead_at = self.offset;
            self.source
                .read_exact_at(self.offset, &mut self.ahead)
                .map_err(|source| Error::Io {
                    offset: self.offset,
                    source,
                })?;
        }
        let skipped = u64_as_usize(self.offset - self.ahead_at);
        let bytes = self
            .ahead
            .get(skipped..)
            .and_then(|bytes| bytes.first_chunk::<N>())
            .ok_or(Error::Damaged {
                offset: self.offset,
                what: TRUNCATED,
            })?;
        self.offset = end;
        Ok(bytes
            .iter()
            .rev()
            .fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }

    /// Skips `bytes`, which the file must have.
    pub(super) fn skip(&mut self, bytes: u64) -> Result<(), Error> {
        self.offset = self.end_of(bytes)?;
        Ok(())
    }

    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Goes back to an `offset` where it was before.
    pub(super) fn to(&mut self, offset: u64) -> Result<(), Error> {
        self.offset = offset;
        self.skip(0)
    }

    fn end_of(&self, bytes: u64) -> Result<u64, Error> {
        let end = self.offset.checked_add(bytes);
        end.filter(|end| *end <= self.source.len())
            .ok_or(Error::Damaged {
                offset: self.offset,
                what: TRUNCATED,
            })
    }
}

const TRUNCATED: &str = "it is truncated within a frame";

impl Error {
    /// Whether the end of the file is the reason.
    pub(super) fn is_truncation(&self) -> bool {
        matches!(self, Self::Damaged { what, .. } if *what == TRUNCATED)
    }
}

/// How many bytes `content` gives before it ends or fails.
pub(super) fn readable(mut content: impl Read) -> u64 {
    let mut piece = vec![0; 64 << 10];
    let mut there: u64 = 0;
    while there < u64::from(MAX_CONTENT_BYTES) {
        match content.read(&mut piece) {
            Ok(0) | Err(_) => break,
            Ok(read) => there += usize_as_u64(read),
        }
    }
    there
}
