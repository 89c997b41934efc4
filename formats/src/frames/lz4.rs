// SPDX-License-Identifier: MIT OR Apache-2.0
//! LZ4's frame format, as its sources describe it (doc/lz4_Frame_format.md). All
//! numbers little-endian.
//!
//! A frame that tells the length of its content and is not too large is read as a
//! whole; of any other one each block, if blocks do not need those before them, as
//! the program `lz4` makes them.

use super::Error;
use super::cursor::Cursor;
use super::index::{Form, Index};
use crate::ReadAt;
use lz4_flex::frame::FrameDecoder;
use std::io::{self, Read};
use twox_hash::XxHash32;

pub(super) const MAGIC: u32 = 0x184d_2204;
/// The 16 magic numbers of skippable frames differ in the lowest four bits.
const SKIPPABLE_MAGIC: u64 = 0x184d_2a50;
/// Of a block's length: its bytes are not compressed.
const STORED: u64 = 1 << 31;

/// Version 1, independent blocks, the content's length and checksum.
const FLAGS: u8 = 0x6c;
/// Blocks of at most 1 MiB.
const BLOCKS: u8 = 0x60;
const BLOCK_BYTES: usize = 1 << 20;

/// Replaces what `frame` holds by a frame of `data`, with a checksum.
///
/// # Errors
/// If the compression failed, which writing to memory does not.
pub fn encode_lz4(data: &[u8], frame: &mut Vec<u8>) -> io::Result<()> {
    frame.clear();
    let len = u64::try_from(data.len()).unwrap_or(u64::MAX);
    let mut descriptor = vec![FLAGS, BLOCKS];
    descriptor.extend_from_slice(&len.to_le_bytes());
    let [_, checksum, ..] = XxHash32::oneshot(0, &descriptor).to_le_bytes();
    frame.extend_from_slice(&MAGIC.to_le_bytes());
    frame.extend_from_slice(&descriptor);
    frame.push(checksum);
    data.chunks(BLOCK_BYTES)
        .try_for_each(|block| push_block(block, frame))?;
    frame.extend_from_slice(&0_u32.to_le_bytes());
    frame.extend_from_slice(&XxHash32::oneshot(0, data).to_le_bytes());
    Ok(())
}

/// Appends a block with its header, stored if that takes no more room.
fn push_block(block: &[u8], frame: &mut Vec<u8>) -> io::Result<()> {
    let header = frame.len();
    let begin = header.saturating_add(4);
    let most = lz4_flex::block::get_maximum_output_size(block.len());
    frame.resize(begin.saturating_add(most), 0);
    let room = frame.get_mut(begin..).unwrap_or_default();
    let len = lz4_flex::block::compress_into(block, room).map_err(io::Error::other)?;
    let stored = len >= block.len();
    frame.truncate(begin.saturating_add(if stored { 0 } else { len }));
    if stored {
        frame.extend_from_slice(block);
    }
    let len = u32::try_from(if stored { block.len() } else { len }).map_err(io::Error::other)?;
    let mark = if stored { len | 1 << 31 } else { len };
    if let Some(target) = frame.get_mut(header..begin) {
        target.copy_from_slice(&mark.to_le_bytes());
    }
    Ok(())
}

/// The most bytes that [`encode_lz4`] needs for `len`, of which it gives some back.
#[must_use]
pub fn lz4_bound(len: usize) -> usize {
    let blocks = len / BLOCK_BYTES + 1;
    lz4_flex::block::get_maximum_output_size(len)
        .saturating_add(64)
        .saturating_add(blocks.saturating_mul(24))
}

/// Fills `content` from a frame, or from a block of one.
pub(super) fn decompress(form: Form, bytes: &[u8], content: &mut [u8]) -> Result<(), &'static str> {
    let found = match form {
        Form::Stored if bytes.len() == content.len() => {
            content.copy_from_slice(bytes);
            Ok(content.len())
        }
        Form::Stored => Ok(0),
        Form::Block => lz4_flex::block::decompress_into(bytes, content).map_err(drop),
        Form::Frame => {
            let mut decoder = FrameDecoder::new(bytes);
            match decoder.read_exact(content) {
                // The checksum is looked at when the end is.
                Ok(()) => match decoder.read(&mut [0]) {
                    Ok(0) => Ok(content.len()),
                    Ok(_) => Ok(usize::MAX),
                    Err(_) => Err(()),
                },
                Err(_) => Err(()),
            }
        }
    };
    match found {
        Ok(found) if found == content.len() => Ok(()),
        Ok(_) => Err("it holds another length than it says"),
        Err(()) => Err("it does not decompress"),
    }
}

/// The frames of `source`, from its first byte to its last.
pub(super) fn frames(source: &impl ReadAt) -> Result<Index, Error> {
    let mut index = Index::default();
    let mut cursor = Cursor::new(source);
    while cursor.offset() < source.len() {
        let start = cursor.offset();
        let magic = cursor.number(4)?;
        if magic & 0xffff_fff0 == SKIPPABLE_MAGIC {
            let len = cursor.number(4)?;
            cursor.skip(len)?;
        } else if magic == u64::from(MAGIC) {
            frame(&mut cursor, start, &mut index)?;
        } else {
            return Err(Error::Damaged {
                offset: start,
                what: "no LZ4 frame begins here",
            });
        }
    }
    Ok(index)
}

/// Lists a frame whose magic number was read.
fn frame<S: ReadAt>(
    cursor: &mut Cursor<'_, S>,
    start: u64,
    index: &mut Index,
) -> Result<(), Error> {
    let damaged = |what| Error::Damaged {
        offset: start,
        what,
    };
    let flags = cursor.number(1)?;
    if flags >> 6 != 1 {
        return Err(damaged("the LZ4 frame is of an unknown version"));
    }
    let largest: u64 = match (cursor.number(1)? >> 4) & 7 {
        size @ 4..=7 => 1 << (8 + 2 * size),
        _ => return Err(damaged("the LZ4 frame's blocks have no size")),
    };
    let content = match flags & 0x08 {
        0 => None,
        _ => Some(cursor.number(8)?),
    };
    if flags & 0x01 != 0 {
        return Err(damaged("the LZ4 frame needs a dictionary"));
    }
    cursor.skip(1)?; // checksum of the header
    let as_whole = content.filter(|len| *len <= u64::from(super::MAX_CONTENT_BYTES));
    if as_whole.is_none() && flags & 0x20 == 0 {
        return Err(Error::UnknownLength { offset: start });
    }
    loop {
        let header = cursor.number(4)?;
        if header == 0 {
            break;
        }
        let (stored, len) = (header & STORED != 0, header & !STORED);
        if len > largest {
            return Err(damaged(
                "a block of the LZ4 frame is longer than any may be",
            ));
        }
        let at = cursor.offset();
        if as_whole.is_some() || stored {
            cursor.skip(len)?;
        }
        if as_whole.is_none() {
            let (form, content) = if stored {
                (Form::Stored, len)
            } else {
                (Form::Block, block_content(cursor, len, largest)?)
            };
            index.push(form, at, u32::try_from(len).unwrap_or(u32::MAX), content)?;
        }
        if flags & 0x10 != 0 {
            cursor.skip(4)?; // checksum of the block
        }
    }
    if flags & 0x04 != 0 {
        cursor.skip(4)?; // checksum of the content
    }
    if let Some(content) = as_whole {
        let len = cursor.offset().saturating_sub(start);
        let len = u32::try_from(len).map_err(|_| damaged("the LZ4 frame is far too long"))?;
        index.push(Form::Frame, start, len, content)?;
    }
    Ok(())
}

/// How much a compressed block of `len` bytes holds, which is at most `largest`. Its
/// sequences tell, and nothing is decompressed.
fn block_content<S: ReadAt>(
    cursor: &mut Cursor<'_, S>,
    len: u64,
    largest: u64,
) -> Result<u64, Error> {
    let start = cursor.offset();
    let damaged = || Error::Damaged {
        offset: start,
        what: "the LZ4 block does not decompress",
    };
    let end = start.saturating_add(len);
    let mut content: u64 = 0;
    while cursor.offset() < end {
        let token = cursor.number(1)?;
        let literals = length(cursor, token >> 4)?;
        cursor.skip(literals)?;
        content = content.saturating_add(literals);
        if cursor.offset() < end {
            cursor.skip(2)?; // how far back the match is
            let matched = length(cursor, token & 15)?;
            content = content.saturating_add(matched.saturating_add(4));
        }
        if content > largest {
            return Err(damaged());
        }
    }
    if cursor.offset() != end {
        return Err(damaged());
    }
    Ok(content)
}

/// A length of which the token has the first 15.
fn length<S: ReadAt>(cursor: &mut Cursor<'_, S>, first: u64) -> Result<u64, Error> {
    let mut length = first;
    if first == 15 {
        loop {
            let more = cursor.number(1)?;
            length = length.saturating_add(more);
            if more != 255 {
                break;
            }
        }
    }
    Ok(length)
}
