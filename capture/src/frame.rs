// SPDX-License-Identifier: MIT OR Apache-2.0
//! Compressed frames, each of which can be decompressed alone.

use linpmem_formats::{Codec, ReadAt, frames};
use linpmem_phys::num::len_bytes;
use std::fmt;
use std::io;
use zstd::bulk::{Compressor, Decompressor};

/// Compresses pieces of memory. The same bytes give the same frame, whichever thread
/// made it.
pub struct FrameEncoder {
    compressor: FrameCompressor,
}

enum FrameCompressor {
    Zstd(Compressor<'static>),
    Lz4,
    Snappy,
    #[cfg(test)]
    Failing,
}

impl FrameEncoder {
    /// An encoder for which there is never enough memory.
    #[cfg(test)]
    pub fn failing() -> Self {
        Self {
            compressor: FrameCompressor::Failing,
        }
    }

    /// An encoder; `None` if `codec` does not compress.
    ///
    /// # Errors
    /// If there is not enough memory.
    pub fn new(codec: Codec) -> io::Result<Option<Self>> {
        let compressor = match codec {
            Codec::Zstd { level } => {
                let mut zstd = Compressor::new(level)?;
                // So that `zstd -t` finds flipped bits without the manifest.
                zstd.include_checksum(true)?;
                FrameCompressor::Zstd(zstd)
            }
            Codec::Lz4 => FrameCompressor::Lz4,
            Codec::Snappy => FrameCompressor::Snappy,
            _ => return Ok(None),
        };
        Ok(Some(Self { compressor }))
    }

    /// An encoder for what lies between chunks; `None` if `codec` does not compress.
    ///
    /// Stronger levels take up to 17 MiB, and do not make headers and zeros shorter.
    ///
    /// # Errors
    /// If there is not enough memory.
    pub fn between_chunks(codec: Codec) -> io::Result<Option<Self>> {
        Self::new(match codec {
            Codec::Zstd { level } => Codec::Zstd {
                level: level.min(Codec::DEFAULT_ZSTD_LEVEL),
            },
            other => other,
        })
    }

    /// Bytes of memory that an encoder keeps between chunks of a MiB, about.
    #[must_use]
    pub const fn state_bytes(codec: Codec) -> usize {
        let kib: usize = match codec {
            Codec::Zstd { level } => match level {
                ..=1 => 576,
                2 => 768,
                3 => 1280,
                4 => 2560,
                5 | 6 => 3072,
                7 | 8 => 5632,
                9..=12 => 10752,
                _ => 17728,
            },
            Codec::Lz4 | Codec::Snappy => 256,
            _ => 0,
        };
        kib << 10
    }

    /// The most bytes that a frame of `len` bytes can have, with any codec.
    #[must_use]
    pub fn bound(len: usize) -> usize {
        zstd::zstd_safe::compress_bound(len)
            .max(frames::lz4_bound(len))
            .max(frames::snappy_bound(len))
    }

    /// Replaces the content of `frame` with a frame of `data`.
    ///
    /// # Errors
    /// If the compression failed.
    pub fn encode(&mut self, data: &[u8], frame: &mut Vec<u8>) -> io::Result<()> {
        match &mut self.compressor {
            FrameCompressor::Zstd(zstd) => {
                frame.clear();
                frame.reserve(zstd::zstd_safe::compress_bound(data.len()));
                zstd.compress_to_buffer(data, frame).map(drop)
            }
            FrameCompressor::Lz4 => frames::encode_lz4(data, frame),
            FrameCompressor::Snappy => frames::encode_snappy(data, frame),
            #[cfg(test)]
            FrameCompressor::Failing => Err(io::ErrorKind::OutOfMemory.into()),
        }
    }
}

/// Decompresses frames.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zstd_keeps_as_much_memory_as_is_planned_for() {
        let zeros = vec![0; 1 << 20];
        for level in (-7..=22).filter(|level| *level != 0) {
            let mut zstd = Compressor::new(level).unwrap();
            let mut frame = Vec::with_capacity(zstd::zstd_safe::compress_bound(zeros.len()));
            zstd.compress_to_buffer(&zeros, &mut frame).unwrap();
            let planned = FrameEncoder::state_bytes(Codec::Zstd { level });
            let kept = zstd.context_mut().sizeof();
            assert!(
                kept <= planned,
                "level {level}: {kept} bytes, not {planned}"
            );
            assert!(
                kept > planned / 10 * 9,
                "level {level}: {kept} bytes, not {planned}"
            );
        }
    }
    #[test]
    fn what_lies_between_chunks_takes_little_memory() {
        let zeros = vec![0; 1 << 20];
        let codec = Codec::Zstd { level: 22 };
        let mut encoder = FrameEncoder::between_chunks(codec).unwrap().unwrap();
        let mut frame = Vec::new();
        encoder.encode(&zeros, &mut frame).unwrap();
        let FrameCompressor::Zstd(zstd) = &mut encoder.compressor else {
            panic!("not zstd");
        };
        let kept = zstd.context_mut().sizeof();
        assert!(kept < 2 << 20, "{kept} bytes");
        let mut decoded = vec![1; zeros.len()];
        let decoding = FrameDecoder::default().decode(&frame, &mut decoded);
        assert!(decoding.is_ok() && decoded == zeros);
    }
}
