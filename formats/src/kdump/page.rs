// SPDX-License-Identifier: MIT OR Apache-2.0
//! Pages: their descriptors and their compression.
//!
//! A descriptor (`page_desc_t` in makedumpfile's diskdump_mod.h):
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 8 | offset of the page in the file |
//! | 8 | 4 | number of bytes that it takes there |
//! | 12 | 4 | flag of its compression; 0: not compressed |
//! | 16 | 8 | 0 |

use super::block::Block;
use super::lzo;
use crate::fields::Fields;
use flate2::{Compress, Decompress, FlushCompress, FlushDecompress, Status};
use linpmem_phys::num::u64_as_usize;
use std::fmt;
use std::str::FromStr;

/// Size of a descriptor.
pub(super) const DESCRIPTOR_BYTES: usize = 24;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Descriptor {
    pub(super) offset: u64,
    pub(super) size: u32,
    pub(super) flags: u32,
}

impl Descriptor {
    /// The descriptor of a page of `block`. It may take twice as many bytes at most: writers
    /// store a page that does not become smaller as it is.
    pub(super) fn parse(encoded: &[u8], block: Block) -> Option<Self> {
        let mut fields = Fields(encoded);
        let (offset, size, flags) = (fields.u64()?, fields.u32()?, fields.u32()?);
        let is_whole = flags != 0 || size == block.size();
        (is_whole && size > 0 && size <= 2 * block.size()).then_some(Self {
            offset,
            size,
            flags,
        })
    }

    pub(super) fn encode(self, target: &mut Vec<u8>) {
        target.extend_from_slice(&self.offset.to_le_bytes());
        target.extend_from_slice(&self.size.to_le_bytes());
        target.extend_from_slice(&self.flags.to_le_bytes());
        target.extend_from_slice(&[0; 8]);
    }
}

/// Decompresses pages.
pub(super) struct Unpacker {
    zlib: Decompress,
    snappy: snap::raw::Decoder,
    zstd: Option<zstd::bulk::Decompressor<'static>>,
}

impl Unpacker {
    pub(super) fn new() -> Self {
        Self {
            zlib: Decompress::new(true),
            snappy: snap::raw::Decoder::new(),
            zstd: zstd::bulk::Decompressor::new().ok(),
        }
    }

    /// Decompresses `stored`, whose descriptor has these `flags`, into `page`, which is as
    /// long as a page. `None` if it is damaged.
    pub(super) fn page(&mut self, flags: u32, stored: &[u8], page: &mut [u8]) -> Option<()> {
        let len = match flags {
            0 => {
                page.get_mut(..stored.len())?.copy_from_slice(stored);
                stored.len()
            }
            ZLIB => {
                self.zlib.reset(true);
                let status = self
                    .zlib
                    .decompress(stored, page, FlushDecompress::Finish)
                    .ok()?;
                match status {
                    Status::StreamEnd => u64_as_usize(self.zlib.total_out()),
                    _ => return None,
                }
            }
            LZO => lzo::decompress(stored, page)?,
            SNAPPY => self.snappy.decompress(stored, page).ok()?,
            ZSTD => self
                .zstd
                .as_mut()?
                .decompress_to_buffer(stored, &mut *page)
                .ok()?,
            _ => return None,
        };
        (len == page.len()).then_some(())
    }
}

/// Compresses pages.
pub(super) struct Packer {
    compression: Compression,
    zlib: Compress,
    snappy: snap::raw::Encoder,
    zstd: Option<zstd::bulk::Compressor<'static>>,
    buffer: Vec<u8>,
}

/// The level for zstd.
const ZSTD_LEVEL: i32 = 1;

impl Packer {
    pub(super) fn new(compression: Compression, block: Block) -> Self {
        let bytes = block.bytes();
        let bound = snap::raw::max_compress_len(bytes).max(zstd::zstd_safe::compress_bound(bytes));
        Self {
            compression,
            zlib: Compress::new(flate2::Compression::fast(), true),
            snappy: snap::raw::Encoder::new(),
            zstd: match compression {
                Compression::Zstd => zstd::bulk::Compressor::new(ZSTD_LEVEL).ok(),
                _ => None,
            },
            buffer: vec![0; bound],
        }
    }

    /// The compressed form of `page`. `None` if it is not smaller, or the compression
    /// failed: the page is stored as it is then.
    pub(super) fn page(&mut self, page: &[u8]) -> Option<&[u8]> {
        let len = match self.compression {
            Compression::None => return None,
            Compression::Zlib => {
                self.zlib.reset();
                let status = self
                    .zlib
                    .compress(page, &mut self.buffer, FlushCompress::Finish)
                    .ok()?;
                match status {
                    Status::StreamEnd => u64_as_usize(self.zlib.total_out()),
                    _ => return None,
                }
            }
            Compression::Snappy => self.snappy.compress(page, &mut self.buffer).ok()?,
            Compression::Zstd => self
                .zstd
                .as_mut()?
                .compress_to_buffer(page, self.buffer.as_mut_slice())
                .ok()?,
        };
        self.buffer.get(..len).filter(|_| len < page.len())
    }
}

// Flags of descriptors and of the header (`DUMP_DH_COMPRESSED_*` in makedumpfile's
// diskdump_mod.h).
const ZLIB: u32 = 0x1;
const LZO: u32 = 0x2;
const SNAPPY: u32 = 0x4;
/// The dump was not written completely.
pub(super) const INCOMPLETE: u32 = 0x8;
const ZSTD: u32 = 0x20;

/// How the pages of a kdump-compressed image are compressed. A page that does not
/// become smaller is stored as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compression {
    /// No compression. All zero pages still share one copy.
    None,
    /// zlib at its fastest level. Every tool that reads the format supports it.
    #[default]
    Zlib,
    /// Snappy: faster and larger. Some tools are built without it.
    Snappy,
    /// zstd at level 1. crash and makedumpfile support it since 2021, unless they are
    /// built without it.
    Zstd,
}

/// A name that is not a compression of this format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown compression of kdump images `{0}`: use zlib, snappy, zstd or none")]
pub struct CompressionError(String);

const ALL: [Compression; 4] = [
    Compression::None,
    Compression::Zlib,
    Compression::Snappy,
    Compression::Zstd,
];

impl Compression {
    /// The flag of pages compressed this way.
    pub(super) const fn flag(self) -> u32 {
        match self {
            Self::None => 0,
            Self::Zlib => ZLIB,
            Self::Snappy => SNAPPY,
            Self::Zstd => ZSTD,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Zlib => "zlib",
            Self::Snappy => "snappy",
            Self::Zstd => "zstd",
        }
    }
}

impl FromStr for Compression {
    type Err = CompressionError;

    fn from_str(text: &str) -> Result<Self, CompressionError> {
        ALL.into_iter()
            .find(|known| known.name() == text)
            .ok_or_else(|| CompressionError(text.to_owned()))
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_come_back_from_every_compression() {
        for bytes in [4 << 10, 16 << 10, 64 << 10] {
            pages_come_back(Block::of(bytes).unwrap());
        }
    }

    fn pages_come_back(block: Block) {
        let mut page = vec![0; block.bytes()];
        for (index, byte) in page.iter_mut().enumerate() {
            *byte = u8::try_from(index / 100 % 256).unwrap();
        }
        for compression in [Compression::Zlib, Compression::Snappy, Compression::Zstd] {
            let mut packer = Packer::new(compression, block);
            for _ in 0..2 {
                let packed = packer.page(&page).unwrap().to_vec();
                assert!(packed.len() < page.len() / 4);
                let mut found = vec![0xee; page.len()];
                let mut unpacker = Unpacker::new();
                let flag = compression.flag();
                unpacker.page(flag, &packed, &mut found).unwrap();
                assert_eq!(found, page);
                let short = &packed[..packed.len() - 1];
                assert!(unpacker.page(flag, short, &mut found).is_none());
                let longer = &mut vec![0; page.len() + 1];
                assert!(unpacker.page(flag, &packed, longer).is_none());
                let shorter = &mut found[1..];
                assert!(unpacker.page(flag, &packed, shorter).is_none());
            }
        }
        assert!(Packer::new(Compression::None, block).page(&page).is_none());
    }

    #[test]
    fn impossible_descriptors_are_refused() {
        let good = Descriptor {
            offset: 5,
            size: 4096,
            flags: 0,
        };
        let mut encoded = Vec::new();
        good.encode(&mut encoded);
        assert_eq!(encoded.len(), DESCRIPTOR_BYTES);
        let small = Block::SMALLEST;
        assert_eq!(Descriptor::parse(&encoded, small), Some(good));
        let large = Block::of(16 << 10).unwrap();
        assert_eq!(Descriptor::parse(&encoded, large), None);
        for (size, flags) in [(4095, 0), (0, ZLIB), (8193, ZLIB), (u32::MAX, 0)] {
            let mut encoded = Vec::new();
            Descriptor {
                size,
                flags,
                ..good
            }
            .encode(&mut encoded);
            assert_eq!(Descriptor::parse(&encoded, small), None);
        }
    }

    #[test]
    fn names_read_back_as_they_print() {
        for compression in ALL {
            assert_eq!(compression.to_string().parse(), Ok(compression));
        }
        assert!("lzo".parse::<Compression>().is_err());
    }
}
