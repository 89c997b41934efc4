// SPDX-License-Identifier: MIT OR Apache-2.0
//! zstd frames (RFC 8878), and the table at the end of a seekable file that lists them
//! (contrib/seekable_format/zstd_seekable_compression_format.md in zstd's sources). The
//! table is a skippable frame, so that every zstd decoder skips it. All numbers are
//! little-endian.

use super::index::{Cursor, Form, Index, max_compressed_bytes, readable};
use super::{Error, MAX_CONTENT_BYTES};
use crate::fields::u32_at;
use crate::{Account, ReadAt};
use linpmem_phys::PhysLen;
use linpmem_phys::num::{u32_as_usize, u64_as_usize};
use std::io::Read;
use std::sync::Arc;

/// The magic number of the table's skippable frame.
const SKIPPABLE_MAGIC: u32 = 0x184d_2a5e;
/// The last four bytes of a file with a table.
const SEEKABLE_MAGIC: u32 = 0x8f92_eab1;
/// Size of the skippable frame's magic number and length.
const HEADER_BYTES: u32 = 8;
/// Size of the number of frames, the descriptor and the magic number.
const FOOTER_BYTES: u32 = 9;
/// Size of an entry: compressed and decompressed size.
const ENTRY_BYTES: u32 = 8;
/// The most frames that a table may list.
pub(super) const MAX_FRAMES: u32 = 0x0800_0000;

/// A frame of a zstd file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ZstdFrame {
    /// Size of the frame in the file.
    pub compressed_bytes: u32,
    /// Size of its content.
    pub content_bytes: u32,
}

/// The seek table of a file that consists of `frames`. Append it to the file.
///
/// It is empty if there are more frames than a table may list (2^27). Readers find
/// them by walking through the file then.
#[must_use]
pub fn seek_table(frames: &[ZstdFrame]) -> Vec<u8> {
    let Some(count) = u32::try_from(frames.len())
        .ok()
        .filter(|count| *count <= MAX_FRAMES)
    else {
        return Vec::new();
    };
    // At most 2^27 * 8 + 9 bytes.
    let payload = count * ENTRY_BYTES + FOOTER_BYTES;
    let mut table = Vec::new();
    table.extend_from_slice(&SKIPPABLE_MAGIC.to_le_bytes());
    table.extend_from_slice(&payload.to_le_bytes());
    for frame in frames {
        table.extend_from_slice(&frame.compressed_bytes.to_le_bytes());
        table.extend_from_slice(&frame.content_bytes.to_le_bytes());
    }
    table.extend_from_slice(&count.to_le_bytes());
    table.push(0); // no checksums, since the frames have their own
    table.extend_from_slice(&SEEKABLE_MAGIC.to_le_bytes());
    table
}

/// Bytes of the seek table to read at a time: a multiple of 8 and 12.
const TABLE_BLOCK_BYTES: u64 = 96 << 10;

/// The frames of `source`: from its seek table, or, without one, by walking from frame
/// to frame.
pub(super) fn frames(source: &impl ReadAt, account: Account) -> Result<Index, Error> {
    let mut index = Index::new(account);
    if !from_table(source, &mut index)? {
        walk(source, &mut index)?;
    }
    Ok(index)
}

/// `false` if the file does not end with a seek table.
fn from_table(source: &impl ReadAt, index: &mut Index) -> Result<bool, Error> {
    let file_bytes = source.len();
    let Some(footer_at) = file_bytes.checked_sub(u64::from(FOOTER_BYTES)) else {
        return Ok(false);
    };
    let footer: [u8; 9] = read(source, footer_at)?;
    if number(&footer, 5, footer_at)? != SEEKABLE_MAGIC {
        return Ok(false);
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
        return Err(damaged("the seek table is of an unknown version"));
    }
    // Entries may have a checksum of the content; it is not used, since the frames
    // have their own.
    let entry_bytes = ENTRY_BYTES + if descriptor & 0x80 == 0 { 0 } else { 4 };
    let payload = u64::from(count) * u64::from(entry_bytes) + u64::from(FOOTER_BYTES);
    let table_at = file_bytes
        .checked_sub(payload)
        .and_then(|entries| entries.checked_sub(u64::from(HEADER_BYTES)))
        .ok_or_else(|| damaged("the seek table is larger than the file"))?;
    let header: [u8; 8] = read(source, table_at)?;
    if number(&header, 0, table_at)? != SKIPPABLE_MAGIC
        || u64::from(number(&header, 4, table_at)?) != payload
    {
        return Err(Error::Damaged {
            offset: table_at,
            what: "the seek table does not begin where its size says",
        });
    }
    // The table is within the file: no sum below overflows.
    let entries_at = table_at + u64::from(HEADER_BYTES);
    let entries_bytes = payload - u64::from(FOOTER_BYTES);
    let mut next_frame: u64 = 0;
    let mut done: u64 = 0;
    let mut block = Vec::new();
    while done < entries_bytes {
        let offset = entries_at + done;
        let size = (entries_bytes - done).min(TABLE_BLOCK_BYTES);
        block.resize(u64_as_usize(size), 0);
        source
            .read_exact_at(offset, &mut block)
            .map_err(|source| Error::Io { offset, source })?;
        for entry in block.chunks_exact(u32_as_usize(entry_bytes)) {
            let compressed = number(entry, 0, offset)?;
            let content = number(entry, 4, offset)?;
            let end = next_frame + u64::from(compressed);
            if compressed < HEADER_BYTES || end > table_at {
                return Err(Error::Damaged {
                    offset,
                    what: "the seek table lists a frame beyond the end of the file",
                });
            }
            index.push(Form::Frame, next_frame, compressed, u64::from(content))?;
            next_frame = end;
        }
        done += size;
    }
    if next_frame != table_at {
        return Err(Error::Damaged {
            offset: next_frame,
            what: "the seek table does not list the data here",
        });
    }
    Ok(true)
}

fn read<const N: usize>(source: &impl ReadAt, offset: u64) -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    source
        .read_exact_at(offset, &mut bytes)
        .map_err(|source| Error::Io { offset, source })?;
    Ok(bytes)
}

/// The number at `at` of `bytes`, which were read at `offset`.
fn number(bytes: &[u8], at: usize, offset: u64) -> Result<u32, Error> {
    u32_at(bytes, at).ok_or(Error::Damaged {
        offset,
        what: "the seek table ends within a number",
    })
}

const FRAME_MAGIC: u64 = 0xfd2f_b528;
/// The 16 magic numbers of skippable frames differ in the lowest four bits.
const ANY_SKIPPABLE_MAGIC: u64 = 0x184d_2a50;
/// No block is longer, compressed or not (`Block_Maximum_Size`).
const MAX_BLOCK_BYTES: u64 = 128 << 10;

/// Finds the frames from the first byte to the last. Headers give the lengths of frames
/// and blocks (RFC 8878, section 3), so nothing is decompressed.
fn walk(source: &impl ReadAt, index: &mut Index) -> Result<(), Error> {
    let mut cursor = Cursor::new(source);
    while cursor.offset() < source.len() {
        let start = cursor.offset();
        match frame_at(&mut cursor, start) {
            Ok(None) => {}
            Ok(Some(content_bytes)) => {
                let compressed =
                    u32::try_from(cursor.offset() - start).map_err(|_| Error::FrameTooLarge {
                        offset: start,
                        content: PhysLen::new(content_bytes),
                    })?;
                index.push(Form::Frame, start, compressed, content_bytes)?;
            }
            Err(error) if error.is_truncation() => {
                index.cut_within(start);
                index.push_rest(source, start, |rest| {
                    zstd::stream::read::Decoder::with_buffer(rest)
                        .map_or(0, |content| readable(content.single_frame()))
                })?;
                break;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The zstd frame that begins at `offset` of `source`, by the headers of its blocks: nothing is
/// decompressed.
///
/// # Errors
/// If none begins there, or it does not give the size of its content, or is too large for a
/// [`Reader`](super::Reader).
pub fn zstd_frame_at(source: &Arc<dyn ReadAt>, offset: u64) -> Result<ZstdFrame, Error> {
    let mut cursor = Cursor::new(source);
    cursor.skip(offset)?;
    let content = frame_at(&mut cursor, offset)?.unwrap_or(0);
    let too_large = |_| Error::FrameTooLarge {
        offset,
        content: PhysLen::new(content),
    };
    Ok(ZstdFrame {
        compressed_bytes: u32::try_from(cursor.offset() - offset).map_err(too_large)?,
        content_bytes: u32::try_from(content).map_err(too_large)?,
    })
}

/// Skips the frame at `start`. Returns the size of its content, if it is not one to skip.
fn frame_at<S: ReadAt>(cursor: &mut Cursor<'_, S>, start: u64) -> Result<Option<u64>, Error> {
    let magic = cursor.number::<4>()?;
    if magic & 0xffff_fff0 == ANY_SKIPPABLE_MAGIC {
        let len = cursor.number::<4>()?;
        cursor.skip(len)?;
        return Ok(None);
    }
    if magic != FRAME_MAGIC {
        return Err(Error::Damaged {
            offset: start,
            what: "no zstd frame begins here",
        });
    }
    frame(cursor, start).map(Some)
}

/// Skips a frame whose magic number was read. Returns the size of its content.
fn frame<S: ReadAt>(cursor: &mut Cursor<'_, S>, start: u64) -> Result<u64, Error> {
    let damaged = |what| Error::Damaged {
        offset: start,
        what,
    };
    let descriptor = cursor.number::<1>()?;
    if descriptor & 0x08 != 0 {
        return Err(damaged("the frame's header has a reserved bit set"));
    }
    let single_segment = descriptor & 0x20 != 0;
    if !single_segment {
        cursor.skip(1)?; // window size
    }
    let dictionary = match descriptor & 3 {
        0 => 0,
        1 => cursor.number::<1>()?,
        2 => cursor.number::<2>()?,
        _ => cursor.number::<4>()?,
    };
    if dictionary != 0 {
        return Err(damaged("the frame needs a dictionary"));
    }
    let content_bytes = match (descriptor >> 6, single_segment) {
        (0, false) => return Err(Error::UnknownLength { offset: start }),
        (0, true) => cursor.number::<1>()?,
        (1, _) => cursor.number::<2>()? + 256,
        (2, _) => cursor.number::<4>()?,
        _ => cursor.number::<8>()?,
    };
    // Checked before walking the blocks, since a large frame has many.
    if content_bytes > u64::from(MAX_CONTENT_BYTES) {
        return Err(Error::FrameTooLarge {
            offset: start,
            content: PhysLen::new(content_bytes),
        });
    }
    let most = max_compressed_bytes(content_bytes);
    loop {
        let header = cursor.number::<3>()?;
        let len = header >> 3;
        // Empty blocks without end, as a hole in the file looks.
        if cursor.offset() - start > most {
            return Err(damaged("a frame takes more bytes than its content could"));
        }
        if len > MAX_BLOCK_BYTES {
            return Err(damaged("a block of the frame is larger than zstd allows"));
        }
        match (header >> 1) & 3 {
            0 | 2 => cursor.skip(len)?,
            1 => cursor.skip(1)?, // one byte, repeated
            _ => return Err(damaged("a block of the frame has a reserved type")),
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

/// Decompresses an entry into `content`, which is as long as the entry says.
pub(super) fn decompress(
    form: Form,
    compressed: &[u8],
    content: &mut [u8],
) -> Result<(), &'static str> {
    if form == Form::Cut {
        return zstd::stream::read::Decoder::with_buffer(compressed)
            .and_then(|rest| rest.single_frame().read_exact(content))
            .map_err(|_| "what is left of it cannot be decompressed");
    }
    let expected = content.len();
    match zstd::bulk::decompress_to_buffer(compressed, content) {
        Ok(found) if found == expected => Ok(()),
        Ok(_) => Err("it holds less than it says"),
        Err(_) => Err("it cannot be decompressed, or holds more than it says"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_byte_for_byte_as_described() {
        let table = seek_table(&[ZstdFrame {
            compressed_bytes: 0x0102,
            content_bytes: 0x0304_0506,
        }]);
        assert_eq!(
            table,
            [
                0x5e, 0x2a, 0x4d, 0x18, 17, 0, 0, 0, 2, 1, 0, 0, 6, 5, 4, 3, 1, 0, 0, 0, 0, 0xb1,
                0xea, 0x92, 0x8f
            ]
        );
        assert_eq!(seek_table(&[]).len(), 17);
    }
}
