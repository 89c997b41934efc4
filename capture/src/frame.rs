// SPDX-License-Identifier: MIT OR Apache-2.0
//! Compressed frames, each of which stands alone.

use linpmem_formats::{Codec, ReadAt, frames};
use linpmem_phys::num::len_bytes;
use std::fmt;
use std::io;
use zstd::bulk::{Compressor, Decompressor};

/// Compresses pieces of memory. The same bytes give the same frame, whichever
/// thread made it.
pub struct FrameEncoder {
    means: Means,
}

enum Means {
    Zstd(Compressor<'static>),
    Lz4,
    Snappy,
}

impl FrameEncoder {
    /// An encoder, if `codec` compresses at all.
    ///
    /// # Errors
    /// If there is no memory for it.
    pub fn new(codec: Codec) -> io::Result<Option<Self>> {
        let means = match codec {
            Codec::Zstd { level } => {
                let mut compressor = Compressor::new(level)?;
                // `zstd -t` then finds flipped bits without the manifest.
                compressor.include_checksum(true)?;
                Means::Zstd(compressor)
            }
            Codec::Lz4 => Means::Lz4,
            Codec::Snappy => Means::Snappy,
            _ => return Ok(None),
        };
        Ok(Some(Self { means }))
    }

    /// The most bytes that the frame of `len` bytes can take.
    #[must_use]
    pub fn bound(len: usize) -> usize {
        zstd::zstd_safe::compress_bound(len)
            .max(frames::lz4_bound(len))
            .max(frames::snappy_bound(len))
    }

    /// Replaces what `frame` holds by a frame of `data`.
    ///
    /// # Errors
    /// If the compression failed.
    pub fn encode(&mut self, data: &[u8], frame: &mut Vec<u8>) -> io::Result<()> {
        match &mut self.means {
            Means::Zstd(compressor) => {
                frame.clear();
                frame.reserve(Self::bound(data.len()));
                compressor.compress_to_buffer(data, frame).map(drop)
            }
            Means::Lz4 => frames::encode_lz4(data, frame),
            Means::Snappy => frames::encode_snappy(data, frame),
        }
    }
}

/// Takes frames apart again.
#[derive(Default)]
pub struct FrameDecoder {
    zstd: Option<Decompressor<'static>>,
}

impl FrameDecoder {
    /// Fills `data` with the content of `frame`.
    ///
    /// # Errors
    /// If the frame is damaged, or its content is of another length.
    pub fn decode(&mut self, frame: &[u8], data: &mut [u8]) -> io::Result<()> {
        const ZSTD_MAGIC: &[u8] = b"\x28\xb5\x2f\xfd";
        if !frame.starts_with(ZSTD_MAGIC) {
            let reader = frames::Reader::new(frame).map_err(io::Error::other)?;
            if reader.len() != len_bytes(data) {
                return Err(io::ErrorKind::InvalidData.into());
            }
            return reader.read_exact_at(0, data);
        }
        let zstd = match &mut self.zstd {
            Some(zstd) => zstd,
            none => none.insert(Decompressor::new()?),
        };
        let len = zstd.decompress_to_buffer(frame, data)?;
        if len == data.len() {
            Ok(())
        } else {
            Err(io::ErrorKind::InvalidData.into())
        }
    }
}

impl fmt::Debug for FrameEncoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrameEncoder").finish_non_exhaustive()
    }
}
