// SPDX-License-Identifier: MIT OR Apache-2.0
//! LZ4's frame format (doc/lz4_Frame_format.md in its sources). All numbers are
//! little-endian.
//!
//! A frame that gives the length of its content and is not too large is an entry of the
//! index. Of any other frame each block is an entry, provided that its blocks are
//! independent, as the program `lz4` makes them.

use super::Error;
use super::MAX_CONTENT_BYTES;
use super::index::{Cursor, Form, Index, readable};
use crate::{Account, ReadAt};
use linpmem_phys::num::usize_as_u64;
use lz4_flex::frame::FrameDecoder;
use std::io::{self, Read};
use twox_hash::XxHash32;

pub(super) const MAGIC: u32 = 0x184d_2204;
/// The 16 magic numbers of skippable frames differ in the lowest four bits.
const SKIPPABLE_MAGIC: u64 = 0x184d_2a50;
/// In the length of a block: the block is not compressed.
const STORED: u64 = 1 << 31;

/// Version 1, independent blocks, length and checksum of the content.
const FLAGS: u8 = 0x6c;
/// Blocks of at most 1 MiB.
const BLOCKS: u8 = 0x60;
const BLOCK_BYTES: usize = 1 << 20;

/// Compresses `data` into an LZ4 frame with a checksum, which replaces the content of
/// `frame`.
///
/// # Errors
/// If the compressor failed, which does not happen when it writes to memory.
pub fn encode_lz4(data: &[u8], frame: &mut Vec<u8>) -> io::Result<()> {
    frame.clear();
    let len = usize_as_u64(data.len());
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

/// Appends a block with its header, uncompressed if compression does not make it
/// smaller.
fn push_block(block: &[u8], frame: &mut Vec<u8>) -> io::Result<()> {
    let header = frame.len();
    let begin = header + 4;
    frame.resize(
        begin + lz4_flex::block::get_maximum_output_size(block.len()),
        0,
    );
    let (head, room) = frame.split_at_mut(begin);
    let mut len = lz4_flex::block::compress_into(block, room).map_err(io::Error::other)?;
    let is_stored = len >= block.len();
    if is_stored {
        len = block.len();
        room.get_mut(..len)
            .ok_or_else(|| io::Error::other("LZ4 gave too small a bound"))?
            .copy_from_slice(block);
    }
    let mark = u32::try_from(len).map_err(io::Error::other)? | if is_stored { 1 << 31 } else { 0 };
    let (_, target) = head.split_at_mut(header);
    target.copy_from_slice(&mark.to_le_bytes());
    frame.truncate(begin + len);
    Ok(())
}

/// An upper limit for the capacity that [`encode_lz4`] needs for `len` bytes.
#[must_use]
pub fn lz4_bound(len: usize) -> usize {
    let blocks = len / BLOCK_BYTES + 1;
    lz4_flex::block::get_maximum_output_size(len) + 64 + blocks * 24
}

/// Decompresses an entry into `content`, which is as long as the entry says.
pub(super) fn decompress(form: Form, bytes: &[u8], content: &mut [u8]) -> Result<(), &'static str> {
    const DAMAGED: &str = "it cannot be decompressed";
    const LENGTH: &str = "its content is not as long as it says";
    match form {
        Form::Stored if bytes.len() == content.len() => {
            content.copy_from_slice(bytes);
            Ok(())
        }
        Form::Stored => Err(LENGTH),
        Form::Cut => FrameDecoder::new(bytes)
            .read_exact(content)
            .map_err(|_| DAMAGED),
        Form::Block => match lz4_flex::block::decompress_into(bytes, content) {
            Ok(found) if found == content.len() => Ok(()),
            Ok(_) => Err(LENGTH),
            Err(_) => Err(DAMAGED),
        },
        Form::Frame => {
            let mut decoder = FrameDecoder::new(bytes);
            decoder.read_exact(content).map_err(|_| DAMAGED)?;
            // The decoder checks the checksum at the end.
            match decoder.read(&mut [0]) {
                Ok(0) => Ok(()),
                Ok(_) => Err(LENGTH),
                Err(_) => Err(DAMAGED),
            }
        }
    }
}

/// Finds the frames from the first byte to the last.
pub(super) fn frames(source: &impl ReadAt, account: Account) -> Result<Index, Error> {
    let mut index = Index::new(account);
    let mut cursor = Cursor::new(source);
    while cursor.offset() < source.len() {
        let start = cursor.offset();
        let before = index.content_bytes();
        match frame_at(&mut cursor, start, &mut index) {
            Err(error) if error.is_truncation() => {
                index.cut_within(start);
                // Otherwise its complete blocks are in the index.
                if index.content_bytes() == before {
                    index.push_rest(source, start, |rest| readable(FrameDecoder::new(rest)))?;
                }
                break;
            }
            found => found?,
        }
    }
    Ok(index)
}

fn frame_at<S: ReadAt>(
    cursor: &mut Cursor<'_, S>,
    start: u64,
    index: &mut Index,
) -> Result<(), Error> {
    let magic = cursor.number::<4>()?;
    if magic & 0xffff_fff0 == SKIPPABLE_MAGIC {
        let len = cursor.number::<4>()?;
        return cursor.skip(len);
    }
    if magic == u64::from(MAGIC) {
        return frame(cursor, start, index);
    }
    Err(Error::Damaged {
        offset: start,
        what: "no LZ4 frame begins here",
    })
}

/// Adds a frame whose magic number was read.
fn frame<S: ReadAt>(
    cursor: &mut Cursor<'_, S>,
    start: u64,
    index: &mut Index,
) -> Result<(), Error> {
    let damaged = |what| Error::Damaged {
        offset: start,
        what,
    };
    let flags = cursor.number::<1>()?;
    if flags >> 6 != 1 {
        return Err(damaged("the LZ4 frame has an unknown version"));
    }
    let largest: u64 = match (cursor.number::<1>()? >> 4) & 7 {
        size @ 4..=7 => 1 << (8 + 2 * size),
        _ => return Err(damaged("the LZ4 frame has an invalid block size")),
    };
    let content = match flags & 0x08 {
        0 => None,
        _ => Some(cursor.number::<8>()?),
    };
    if flags & 0x01 != 0 {
        return Err(damaged("the LZ4 frame needs a dictionary"));
    }
    cursor.skip(1)?; // checksum of the header
    let as_whole = content.filter(|len| *len <= u64::from(MAX_CONTENT_BYTES));
    if as_whole.is_none() && flags & 0x20 == 0 {
        return Err(Error::UnknownLength { offset: start });
    }
    loop {
        let header = cursor.number::<4>()?;
        if header == 0 {
            break;
        }
        let (stored, len) = (header & STORED != 0, header & !STORED);
        if len > largest {
            return Err(damaged(
                "a block of the LZ4 frame is larger than the frame allows",
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
            let len = u32::try_from(len).map_err(|_| damaged("an LZ4 block is too large"))?;
            index.push(form, at, len, content)?;
        }
        if flags & 0x10 != 0 {
            cursor.skip(4)?; // checksum of the block
        }
    }
    if flags & 0x04 != 0 {
        cursor.skip(4)?; // checksum of the content
    }
    if let Some(content) = as_whole {
        let len = u32::try_from(cursor.offset() - start)
            .map_err(|_| damaged("the LZ4 frame is too large"))?;
        index.push(Form::Frame, start, len, content)?;
    }
    Ok(())
}

/// The size of the content, at most `largest`, of a compressed block of `len` bytes. Its
/// sequences give the size, so nothing is decompressed.
fn block_content<S: ReadAt>(
    cursor: &mut Cursor<'_, S>,
    len: u64,
    largest: u64,
) -> Result<u64, Error> {
    let start = cursor.offset();
    let damaged = || Error::Damaged {
        offset: start,
        what: "the LZ4 block cannot be decompressed",
    };
    let end = start.checked_add(len).ok_or_else(damaged)?;
    let mut content: u64 = 0;
    while cursor.offset() < end {
        let token = cursor.number::<1>()?;
        let literals = length(cursor, token >> 4)?;
        cursor.skip(literals)?;
        content = content.checked_add(literals).ok_or_else(damaged)?;
        if cursor.offset() < end {
            cursor.skip(2)?; // distance of the match
            let matched = length(cursor, token & 15)?;
            content = content
                .checked_add(matched)
                .and_then(|content| content.checked_add(4))
                .ok_or_else(damaged)?;
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

/// A length, of which the token holds up to 15.
fn length<S: ReadAt>(cursor: &mut Cursor<'_, S>, first: u64) -> Result<u64, Error> {
    let mut length = first;
    if first == 15 {
        loop {
            let more = cursor.number::<1>()?;
            // At most 255 for each byte of the file.
            length += more;
            if more != 255 {
                break;
            }
        }
    }
    Ok(length)
}
