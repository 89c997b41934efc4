// SPDX-License-Identifier: MIT OR Apache-2.0
//! The table at the end of a seekable zstd file.
//!
//! A skippable frame, so that every zstd decoder passes over it, after
//! contrib/seekable_format/zstd_seekable_compression_format.md of the zstd
//! sources. All numbers little-endian.

/// The skippable frame's magic number.
pub(super) const SKIPPABLE_MAGIC: u32 = 0x184d_2a5e;
/// The last four bytes of a file that has a table.
pub(super) const SEEKABLE_MAGIC: u32 = 0x8f92_eab1;
/// Magic and length of the skippable frame.
pub(super) const HEADER_BYTES: u32 = 8;
/// Number of frames, descriptor, magic.
pub(super) const FOOTER_BYTES: u32 = 9;
/// Compressed and decompressed size.
pub(super) const ENTRY_BYTES: u32 = 8;
/// More frames than this a table may not list.
pub(super) const MAX_FRAMES: u32 = 0x0800_0000;

/// One frame of a zstd file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ZstdFrame {
    /// Bytes of the frame in the file.
    pub compressed_bytes: u32,
    /// Bytes of its content.
    pub content_bytes: u32,
}

/// The seek table of a file that consists of `frames`, to be appended to it.
///
/// It is empty if there are more frames than a table may list (2^27): readers
/// then find them one by one.
#[must_use]
pub fn seek_table(frames: &[ZstdFrame]) -> Vec<u8> {
    let Some(count) = u32::try_from(frames.len())
        .ok()
        .filter(|count| *count <= MAX_FRAMES)
    else {
        return Vec::new();
    };
    // At most 2^27 * 8 + 9 bytes.
    let payload = count
        .saturating_mul(ENTRY_BYTES)
        .saturating_add(FOOTER_BYTES);
    let mut table = Vec::new();
    table.extend_from_slice(&SKIPPABLE_MAGIC.to_le_bytes());
    table.extend_from_slice(&payload.to_le_bytes());
    for frame in frames {
        table.extend_from_slice(&frame.compressed_bytes.to_le_bytes());
        table.extend_from_slice(&frame.content_bytes.to_le_bytes());
    }
    table.extend_from_slice(&count.to_le_bytes());
    table.push(0); // no checksums: the frames have their own
    table.extend_from_slice(&SEEKABLE_MAGIC.to_le_bytes());
    table
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
