// SPDX-License-Identifier: MIT OR Apache-2.0
//! Finding the frames of a zstd file that has no seek table.
//!
//! Frames and blocks tell their lengths in their headers (RFC 8878, section 3),
//! so nothing is decompressed.

use super::Error;
use super::cursor::Cursor;
use super::index::{Form, Index};
use crate::ReadAt;
use linpmem_phys::PhysLen;

const FRAME_MAGIC: u32 = 0xfd2f_b528;
/// The 16 magic numbers of skippable frames differ in the lowest four bits.
const SKIPPABLE_MAGIC: u32 = 0x184d_2a50;
/// No block is longer, compressed or not (`Block_Maximum_Size`).
const MAX_BLOCK_BYTES: u32 = 128 << 10;

/// The frames of `source`, from its first byte to its last.
pub(super) fn frames(source: &impl ReadAt) -> Result<Index, Error> {
    let mut index = Index::default();
    let mut cursor = Cursor::new(source);
    while cursor.offset() < source.len() {
        let start = cursor.offset();
        let magic = cursor.number(4)?;
        if magic & 0xffff_fff0 == u64::from(SKIPPABLE_MAGIC) {
            let len = cursor.number(4)?;
            cursor.skip(len)?;
            continue;
        }
        if magic != u64::from(FRAME_MAGIC) {
            return Err(Error::Damaged {
                offset: start,
                what: "no zstd frame begins here",
            });
        }
        let content_bytes = frame(&mut cursor, start)?;
        let compressed = cursor.offset().saturating_sub(start);
        let compressed = u32::try_from(compressed).map_err(|_| Error::FrameTooLarge {
            offset: start,
            content: PhysLen::new(content_bytes),
        })?;
        index.push(Form::Frame, start, compressed, content_bytes)?;
    }
    Ok(index)
}

/// Passes over a frame, whose magic number was read. Bytes of its content.
fn frame<S: ReadAt>(cursor: &mut Cursor<'_, S>, start: u64) -> Result<u64, Error> {
    let damaged = |what| Error::Damaged {
        offset: start,
        what,
    };
    let descriptor = cursor.number(1)?;
    if descriptor & 0x08 != 0 {
        return Err(damaged("the frame's header has a reserved bit set"));
    }
    let single_segment = descriptor & 0x20 != 0;
    if !single_segment {
        cursor.skip(1)?; // window size
    }
    let dictionary_bytes: u64 = match descriptor & 3 {
        3 => 4,
        same => same,
    };
    if cursor.number(dictionary_bytes)? != 0 {
        return Err(damaged("the frame needs a dictionary"));
    }
    let content_bytes = match (descriptor >> 6, single_segment) {
        (0, false) => return Err(Error::UnknownLength { offset: start }),
        (0, true) => cursor.number(1)?,
        (1, _) => cursor.number(2)?.saturating_add(256),
        (2, _) => cursor.number(4)?,
        _ => cursor.number(8)?,
    };
    // Said before the blocks are walked: in one large frame there are many.
    if content_bytes > u64::from(super::MAX_CONTENT_BYTES) {
        return Err(Error::FrameTooLarge {
            offset: start,
            content: PhysLen::new(content_bytes),
        });
    }
    loop {
        let header = cursor.number(3)?;
        let len = header >> 3;
        if len > u64::from(MAX_BLOCK_BYTES) {
            return Err(damaged("a block of the frame is longer than any may be"));
        }
        match (header >> 1) & 3 {
            0 | 2 => cursor.skip(len)?,
            1 => cursor.skip(1)?, // one byte, repeated
            _ => return Err(damaged("a block of the frame is of a reserved type")),
        }
        if header & 1 != 0 {
            break;
        }
    }
    if descriptor & 0x04 != 0 {
        cursor.skip(4)?; // checksum
    }
    Ok(content_bytes)
}
