// SPDX-License-Identifier: MIT OR Apache-2.0
//! Walking an AVML image that was cut off, from its beginning.
//!
//! Each block is a Snappy stream, whose chunks give their lengths (framing_format.txt in
//! Snappy's sources):
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 1 | kind: 0 compressed, 1 not compressed, from 0x80 on something to skip |
//! | 1 | 3 | number of bytes that follow |
//! | 4 | 4 | checksum, in chunks of the kinds 0 and 1 |
//! | 8 | | compressed chunks: the length of their content, 7 bits a byte |

use super::block::{BlockContent, Blocks, TRAILER_BYTES, check_size};
use crate::ReadAt;
use crate::records::{Error, HEADER_BYTES, RecordHeader, header_at};
use linpmem_phys::num::{u64_as_usize, usize_as_u64};

/// The blocks of a file that ends within one of them.
///
/// # Errors
/// If something else than the end of the file ends the walk.
pub(super) fn blocks(source: &impl ReadAt) -> Result<Blocks, Error> {
    let mut found = Blocks::default();
    let mut ahead = Ahead {
        source,
        start: 0,
        bytes: Vec::new(),
    };
    let file = source.len();
    let mut offset: u64 = 0;
    while offset < file {
        let damaged = |what| Error::Record { offset, what };
        // The header's end is at most `file`, or it is cut off.
        let data = match offset.checked_add(usize_as_u64(HEADER_BYTES)) {
            Some(data) if data <= file => data,
            _ => {
                let left = ahead.at(offset, u64_as_usize(file - offset))?;
                if !RecordHeader::begins_with(left) {
                    return Err(damaged("no record begins here"));
                }
                found.is_cut = true;
                break;
            }
        };
        let header = header_at(source, offset)?
            .filter(|header| header.is_compressed)
            .ok_or(damaged("no record begins here"))?;
        let next = header_at(source, data)?;
        if next.is_some_and(|next| header.is_followed_by(&next)) {
            found.push(&header, BlockContent::Zero)?;
            offset = data;
            continue;
        }
        let left = u64_as_usize(file - data).min(HEADER_BYTES);
        let (end, there) = if RecordHeader::begins_with(ahead.at(data, left)?) {
            // Of the block there is nothing, or the next header is cut off.
            (None, data)
        } else {
            let end = stream_end(&mut ahead, data, header.range.len().get(), file)
                .ok_or(damaged("its memory is damaged"))?;
            (end, end.unwrap_or(file))
        };
        check_size(offset, &header, there - data)?;
        let content = BlockContent::Snappy {
            offset: data,
            bytes: u64_as_usize(there - data),
            is_cut: end.is_none(),
        };
        found.push(&header, content)?;
        // After a whole stream, only the length after it may be cut off.
        let after = there.checked_add(TRAILER_BYTES);
        match after.filter(|after| end.is_some() && *after <= file) {
            Some(after) if ahead.number(there)? == there - data => offset = after,
            Some(_) => return Err(damaged("its length is not that of its memory")),
            None => {
                found.is_cut = true;
                break;
            }
        }
    }
    if found.is_cut && !found.blocks.is_empty() {
        return Ok(found);
    }
    let what = "the file ends within its header, and nothing of its memory is left";
    Err(Error::Record { offset, what })
}

/// Where the Snappy stream at `data` ends that holds `len` bytes; `Some(None)` if the file
/// ends before it does, `None` if it is damaged.
fn stream_end<S: ReadAt>(
    ahead: &mut Ahead<'_, S>,
    data: u64,
    len: u64,
    file: u64,
) -> Option<Option<u64>> {
    let mut at = data;
    let mut content: u64 = 0;
    while content < len {
        if at.checked_add(4).is_none_or(|end| end > file) {
            return Some(None);
        }
        let [kind, l0, l1, l2] = *ahead.at(at, 4).ok()?.first_chunk()?;
        let bytes = u32::from_le_bytes([l0, l1, l2, 0]);
        let end = at.checked_add(4)?.checked_add(u64::from(bytes))?;
        let held = match kind {
            0 => {
                let left = u64_as_usize(file - at).min(13);
                let number = ahead.at(at, left).ok()?.get(8..).unwrap_or_default();
                varint(number)
            }
            1 => u64::from(bytes).checked_sub(4),
            0x80..=0xff => Some(0),
            _ => return None,
        };
        if end > file {
            return Some(None);
        }
        content = content.checked_add(held?)?;
        at = end;
    }
    (content == len).then_some(Some(at))
}

/// A number of up to 5 bytes, 7 bits each.
fn varint(bytes: &[u8]) -> Option<u64> {
    let mut number: u64 = 0;
    for (byte, shift) in bytes.iter().zip([0, 7, 14, 21, 28]) {
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// Reads small pieces, each a little after the one before.
struct Ahead<'a, S> {
    source: &'a S,
    start: u64,
    bytes: Vec<u8>,
}

impl<S: ReadAt> Ahead<'_, S> {
    /// The little-endian number at `offset`, which is within the file.
    fn number(&mut self, offset: u64) -> Result<u64, Error> {
        let what = "the file ends within it";
        let bytes = self.at(offset, 8)?.first_chunk().copied();
        let bytes = bytes.ok_or(Error::Record { offset, what })?;
        Ok(u64::from_le_bytes(bytes))
    }

    /// `len` bytes at `offset`, which are within the file.
    fn at(&mut self, offset: u64, len: usize) -> Result<&[u8], Error> {
        const BYTES: u64 = 4096;
        let ends_at = |start: usize| start.checked_add(len);
        let known = offset
            .checked_sub(self.start)
            .map(u64_as_usize)
            .filter(|start| ends_at(*start).is_some_and(|end| end <= self.bytes.len()));
        let start = match known {
            Some(start) => start,
            None => {
                let left = self.source.len().saturating_sub(offset);
                let step = left.min(BYTES.max(usize_as_u64(len)));
                self.bytes.resize(u64_as_usize(step), 0);
                self.start = offset;
                self.source
                    .read_exact_at(offset, &mut self.bytes)
                    .map_err(|source| Error::Io { offset, source })?;
                0
            }
        };
        let what = "the file ends within it";
        ends_at(start)
            .and_then(|end| self.bytes.get(start..end))
            .ok_or(Error::Record { offset, what })
    }
}
