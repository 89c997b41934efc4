// SPDX-License-Identifier: MIT OR Apache-2.0
//! A way through a file from header to header.

use super::Error;
use crate::ReadAt;

/// Bytes read ahead. Small: most of what lies between two headers is passed over.
const AHEAD_BYTES: usize = 4096;

/// A place in the file that only moves forward.
pub(super) struct Cursor<'a, S> {
    source: &'a S,
    offset: u64,
    ahead: Vec<u8>,
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

    /// The little-endian number of `bytes` bytes here, 8 at most.
    pub(super) fn number(&mut self, bytes: u64) -> Result<u64, Error> {
        let end = self.end_of(bytes)?;
        let ahead_end = self
            .ahead_at
            .saturating_add(u64::try_from(self.ahead.len()).unwrap_or(u64::MAX));
        if self.offset < self.ahead_at || end > ahead_end {
            let left = self.source.len().saturating_sub(self.offset);
            let size = usize::try_from(left).map_or(AHEAD_BYTES, |left| left.min(AHEAD_BYTES));
            self.ahead.resize(size, 0);
            self.ahead_at = self.offset;
            self.source
                .read_exact_at(self.offset, &mut self.ahead)
                .map_err(|source| Error::Io {
                    offset: self.offset,
                    source,
                })?;
        }
        let skipped = usize::try_from(self.offset.saturating_sub(self.ahead_at)).unwrap_or(0);
        let value = self
            .ahead
            .iter()
            .skip(skipped)
            .take(usize::try_from(bytes).unwrap_or(0))
            .rev()
            .fold(0, |value: u64, byte| (value << 8) | u64::from(*byte));
        self.offset = end;
        Ok(value)
    }

    /// Passes over so many bytes, which the file must have.
    pub(super) fn skip(&mut self, bytes: u64) -> Result<(), Error> {
        self.offset = self.end_of(bytes)?;
        Ok(())
    }

    /// Where it is.
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
                what: "the file ends within a frame: it is truncated",
            })
    }
}
