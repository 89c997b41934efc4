// SPDX-License-Identifier: MIT OR Apache-2.0
//! Snappy's framing format (framing_format.txt in its sources). All numbers are
//! little-endian.
//!
//! Its chunks hold at most 64 KiB each; up to 1 MiB of them form one entry of the index.

use super::Error;
use super::index::{Cursor, Form, Index};
use crate::{Account, ReadAt};
use snap::read::FrameDecoder;
use snap::write::FrameEncoder;
use std::io::{self, Read, Write};

/// The stream identifier. A stream begins with it and may repeat it anywhere.
pub(super) const IDENTIFIER: &[u8] = b"\xff\x06\x00\x00sNaPpY";
/// The most content of a chunk.
const MAX_CONTENT_BYTES: u64 = 64 << 10;
/// The most content of an entry.
const ENTRY_BYTES: u64 = 1 << 20;
/// Size of a checksum.
const CHECKSUM_BYTES: u64 = 4;

/// Compresses `data` into a Snappy stream with checksums, which replaces the content of
/// `frame`.
///
/// # Errors
/// If the compressor failed, which does not happen when it writes to memory.
pub fn encode_snappy(data: &[u8], frame: &mut Vec<u8>) -> io::Result<()> {
    frame.clear();
    let mut encoder = FrameEncoder::new(frame);
    encoder.write_all(data)?;
    encoder.flush()
}

/// An upper limit for the size of the stream that [`encode_snappy`] makes of `len` bytes.
#[must_use]
pub const fn snappy_bound(len: usize) -> usize {
    // Chunks that do not become smaller are stored; each has a header of 8 bytes.
    let chunks = len / (64 << 10) + 1;
    len + 64 + chunks * 8
}

/// Decompresses an entry into `content`, which is as long as the entry says.
pub(super) fn decompress(bytes: &[u8], content: &mut [u8]) -> Result<(), &'static str> {
    let mut decoder = FrameDecoder::new(IDENTIFIER.chain(bytes));
    decoder
        .read_exact(content)
        .map_err(|_| "it cannot be decompressed")?;
    match decoder.read(&mut [0]) {
        Ok(0) => Ok(()),
        _ => Err("it holds more than it says"),
    }
}

/// Adjacent chunks that form one entry.
#[derive(Default)]
struct Run {
    offset: u64,
    end: u64,
    content: u64,
}

impl Run {
    fn list(&mut self, index: &mut Index) -> Result<(), Error> {
        let len = u32::try_from(self.end - self.offset).map_err(|_| Error::Damaged {
            offset: self.offset,
            what: "the Snappy chunks from here on are too large",
        })?;
        index.push(Form::Frame, self.offset, len, self.content)?;
        *self = Self::default();
        Ok(())
    }
}

/// Finds the chunks from the first byte to the last.
pub(super) fn frames(source: &impl ReadAt, account: Account) -> Result<Index, Error> {
    let mut index = Index::new(account);
    let mut cursor = Cursor::new(source);
    let mut run = Run::default();
    while cursor.offset() < source.len() {
        let start = cursor.offset();
        let content = match chunk(&mut cursor) {
            Err(error) if error.is_truncation() => {
                index.cut_within(start);
                break;
            }
            found => found?,
        };
        let Some(content) = content else {
            continue;
        };
        // An entry does not include skipped chunks.
        if run.end != start || run.content + content > ENTRY_BYTES {
            run.list(&mut index)?;
            run.offset = start;
        }
        run.end = cursor.offset();
        run.content += content;
    }
    run.list(&mut index)?;
    Ok(index)
}

/// Skips a chunk. Returns the size of its content, if it may have any.
fn chunk<S: ReadAt>(cursor: &mut Cursor<'_, S>) -> Result<Option<u64>, Error> {
    let start = cursor.offset();
    let damaged = |what| Error::Damaged {
        offset: start,
        what,
    };
    let kind = cursor.number::<1>()?;
    let len = cursor.number::<3>()?;
    let body = cursor.offset();
    if kind <= 0x01 && len <= CHECKSUM_BYTES {
        return Err(damaged("a Snappy chunk is too short"));
    }
    let content = match kind {
        0x00 => compressed_content(cursor)?,
        0x01 => len.checked_sub(CHECKSUM_BYTES),
        // Padding, other chunks that may be skipped, and identifiers.
        0x80..=0xff => None,
        _ => return Err(damaged("a Snappy chunk of unknown type begins here")),
    };
    cursor.to(body)?;
    cursor.skip(len)?;
    if content.is_none() && kind <= 0x01 {
        return Err(damaged("a Snappy chunk is too short"));
    }
    if content.is_some_and(|content| content > MAX_CONTENT_BYTES) {
        return Err(damaged("a Snappy chunk holds more than Snappy allows"));
    }
    Ok(content)
}

/// The size of the content of a compressed chunk: a number after the checksum, with 7
/// bits per byte. `None` if it is too long.
fn compressed_content<S: ReadAt>(cursor: &mut Cursor<'_, S>) -> Result<Option<u64>, Error> {
    cursor.skip(CHECKSUM_BYTES)?;
    let mut content: u64 = 0;
    for shift in [0, 7, 14, 21, 28] {
        let byte = cursor.number::<1>()?;
        content |= (byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(Some(content));
        }
    }
    Ok(None)
}
