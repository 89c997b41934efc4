// SPDX-License-Identifier: MIT OR Apache-2.0
//! Snappy's framing format, as its sources describe it (framing_format.txt). All
//! numbers little-endian.
//!
//! Its chunks hold at most 64 KiB each; as many as make up 1 MiB are one entry of
//! the index.

use super::Error;
use super::cursor::Cursor;
use super::index::{Form, Index};
use crate::ReadAt;
use snap::read::FrameDecoder;
use snap::write::FrameEncoder;
use std::io::{self, Read, Write};

/// What a stream begins with, and may have again anywhere.
pub(super) const IDENTIFIER: &[u8] = b"\xff\x06\x00\x00sNaPpY";
/// No chunk holds more.
const MAX_CONTENT_BYTES: u64 = 64 << 10;
/// Content of an entry.
const ENTRY_BYTES: u64 = 1 << 20;
/// Length of a checksum.
const CHECKSUM_BYTES: u64 = 4;

/// Replaces what `frame` holds by a stream of `data`, with checksums.
///
/// # Errors
/// If the compression failed, which writing to memory does not.
pub fn encode_snappy(data: &[u8], frame: &mut Vec<u8>) -> io::Result<()> {
    frame.clear();
    let mut encoder = FrameEncoder::new(frame);
    encoder.write_all(data)?;
    encoder.flush()
}

/// The most bytes that [`encode_snappy`] makes of `len`.
#[must_use]
pub const fn snappy_bound(len: usize) -> usize {
    // What does not get smaller is stored; each chunk has 8 bytes before it.
    let chunks = len / (64 << 10) + 1;
    len.saturating_add(64)
        .saturating_add(chunks.saturating_mul(8))
}

/// Fills `content` from chunks.
pub(super) fn decompress(bytes: &[u8], content: &mut [u8]) -> Result<(), &'static str> {
    let mut decoder = FrameDecoder::new(IDENTIFIER.chain(bytes));
    decoder
        .read_exact(content)
        .map_err(|_| "it does not decompress")?;
    match decoder.read(&mut [0]) {
        Ok(0) => Ok(()),
        _ => Err("it holds more than it says"),
    }
}

/// Chunks that lie together and are one entry.
#[derive(Default)]
struct Run {
    offset: u64,
    end: u64,
    content: u64,
}

impl Run {
    fn list(&mut self, index: &mut Index) -> Result<(), Error> {
        let len = self.end.saturating_sub(self.offset);
        let len = u32::try_from(len).unwrap_or(u32::MAX);
        index.push(Form::Frame, self.offset, len, self.content)?;
        *self = Self::default();
        Ok(())
    }
}

/// The chunks of `source`, from its first byte to its last.
pub(super) fn frames(source: &impl ReadAt) -> Result<Index, Error> {
    let mut index = Index::default();
    let mut cursor = Cursor::new(source);
    let mut run = Run::default();
    while cursor.offset() < source.len() {
        let start = cursor.offset();
        let damaged = |what| Error::Damaged {
            offset: start,
            what,
        };
        let kind = cursor.number(1)?;
        let len = cursor.number(3)?;
        let body = cursor.offset();
        let content = match kind {
            0x00 => compressed_content(&mut cursor)?,
            0x01 => len.checked_sub(CHECKSUM_BYTES),
            // Padding, and what may be passed over; identifiers.
            0x80..=0xff => None,
            _ => return Err(damaged("a Snappy chunk of an unknown type begins here")),
        };
        cursor.to(body)?;
        cursor.skip(len)?;
        let Some(content) = content else {
            if kind <= 0x01 {
                return Err(damaged("a Snappy chunk is too short"));
            }
            continue;
        };
        if content > MAX_CONTENT_BYTES {
            return Err(damaged("a Snappy chunk holds more than any may"));
        }
        // What was passed over is not part of an entry.
        if run.end != start || run.content.saturating_add(content) > ENTRY_BYTES {
            run.list(&mut index)?;
            run.offset = start;
        }
        run.end = cursor.offset();
        run.content = run.content.saturating_add(content);
    }
    run.list(&mut index)?;
    Ok(index)
}

/// What a compressed chunk holds: a number of 7 bits a byte, behind the checksum.
fn compressed_content<S: ReadAt>(cursor: &mut Cursor<'_, S>) -> Result<Option<u64>, Error> {
    cursor.skip(CHECKSUM_BYTES)?;
    let mut content: u64 = 0;
    for shift in [0, 7, 14, 21, 28] {
        let byte = cursor.number(1)?;
        content |= (byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(Some(content));
        }
    }
    Ok(None)
}
