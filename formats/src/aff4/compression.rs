// SPDX-License-Identifier: MIT OR Apache-2.0
//! Compressing the chunks of a stream.

use flate2::{Compress, Decompress, FlushCompress, FlushDecompress, Status};
use linpmem_phys::num::u64_as_usize;
use std::fmt;
use std::str::FromStr;

/// A compression of AFF4's chunks for writing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compression {
    /// Fast, and supported by every program.
    #[default]
    Snappy,
    /// A little smaller and faster to read. The crate `aff4` does not support it.
    Lz4,
    /// Small and slow.
    Zlib,
    /// No compression.
    None,
}

/// A name that is not a compression of AFF4.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CompressionError {
    /// An unknown name.
    #[error("unknown compression of AFF4 images `{0}`: use snappy, lz4, zlib or none")]
    Unknown(String),
    /// zstd, which AFF4 does not define.
    #[error(
        "AFF4 does not define zstd, so no other program could read the image: use snappy, lz4, zlib \
         or none"
    )]
    Zstd,
}

/// A chunk is stored uncompressed unless compression saves more than this.
const LEAST_GAIN_BYTES: usize = 16;

impl Compression {
    /// Its name in AFF4's vocabulary.
    pub(super) const fn uri(self) -> &'static str {
        match self {
            Self::Snappy => "http://code.google.com/p/snappy/",
            Self::Lz4 => "https://code.google.com/p/lz4/",
            Self::Zlib => "https://www.ietf.org/rfc/rfc1950.txt",
            Self::None => "http://aff4.org/Schema#NullCompressor",
        }
    }

    /// An upper limit for the compressed size of `len` bytes.
    pub(super) fn bound(self, len: usize) -> usize {
        match self {
            Self::None => 0,
            Self::Snappy => snap::raw::max_compress_len(len),
            Self::Lz4 => lz4_flex::block::get_maximum_output_size(len),
            // If the result does not fit, the chunk is stored uncompressed anyway.
            Self::Zlib => len,
        }
    }

    /// What compresses chunks this way.
    pub(super) fn compressor(self) -> Compressor {
        Compressor {
            compression: self,
            snappy: snap::raw::Encoder::new(),
        }
    }
}

/// Compresses chunks one after the other, with the same tables.
pub(super) struct Compressor {
    compression: Compression,
    snappy: snap::raw::Encoder,
}

impl Compressor {
    /// Appends the stored form of `chunk`: compressed, or as it is if compression does
    /// not save enough.
    pub(super) fn append(&mut self, chunk: &[u8], target: &mut Vec<u8>) {
        let begin = target.len();
        target.resize(begin + self.compression.bound(chunk.len()), 0);
        let (_, room) = target.split_at_mut(begin);
        let compressed = match self.compression {
            Compression::None => None,
            Compression::Snappy => self.snappy.compress(chunk, room).ok(),
            Compression::Lz4 => lz4_flex::block::compress_into(chunk, room).ok(),
            Compression::Zlib => zlib(chunk, room),
        };
        let is_gain = |len: &usize| *len + LEAST_GAIN_BYTES < chunk.len();
        match compressed.filter(is_gain) {
            Some(len) => target.truncate(begin + len),
            None => {
                target.truncate(begin);
                target.extend_from_slice(chunk);
            }
        }
    }
}

/// Compresses `chunk` into `room` and returns the compressed size.
fn zlib(chunk: &[u8], room: &mut [u8]) -> Option<usize> {
    let mut encoder = Compress::new(flate2::Compression::fast(), true);
    match encoder.compress(chunk, room, FlushCompress::Finish) {
        Ok(Status::StreamEnd) => Some(u64_as_usize(encoder.total_out())),
        _ => None,
    }
}

impl FromStr for Compression {
    type Err = CompressionError;

    fn from_str(text: &str) -> Result<Self, CompressionError> {
        Ok(match text {
            "snappy" => Self::Snappy,
            "lz4" => Self::Lz4,
            "zlib" => Self::Zlib,
            "none" => Self::None,
            _ if text == "zstd" || text.starts_with("zstd:") => {
                return Err(CompressionError::Zstd);
            }
            _ => return Err(CompressionError::Unknown(text.to_owned())),
        })
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zlib => "zlib",
            Self::None => "none",
        })
    }
}

/// A compression for reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Snappy,
    Lz4,
    Zlib,
    /// RFC 1951. Some writers store zlib or uncompressed data under this name.
    Deflate,
    Stored,
}

impl Method {
    /// The method with the name `uri` in the vocabulary.
    pub(super) fn from_uri(uri: &str) -> Option<Self> {
        let plain = uri.trim_end_matches('/');
        let plain = plain.split_once("://").map_or(plain, |(_, rest)| rest);
        Some(match plain {
            "code.google.com/p/snappy" | "github.com/google/snappy" => Self::Snappy,
            "code.google.com/p/lz4" => Self::Lz4,
            "www.ietf.org/rfc/rfc1950.txt" | "tools.ietf.org/html/rfc1950" => Self::Zlib,
            "tools.ietf.org/html/rfc1951" | "www.ietf.org/rfc/rfc1951.txt" => Self::Deflate,
            "aff4.org/Schema#NullCompressor" | "aff4.org/Schema#compression/stored" => Self::Stored,
            _ => return None,
        })
    }

    /// Decompresses into the beginning of `target`, which is as long as a chunk, and
    /// returns the size of the content. `None` if `compressed` is damaged or holds more.
    pub(super) fn decompress(self, compressed: &[u8], target: &mut [u8]) -> Option<usize> {
        // Whatever the method, a stored chunk of full length is not compressed.
        if compressed.len() == target.len() {
            target.copy_from_slice(compressed);
            return Some(target.len());
        }
        match self {
            Self::Stored => {
                let (head, _) = target.split_at_mut_checked(compressed.len())?;
                head.copy_from_slice(compressed);
                Some(compressed.len())
            }
            Self::Snappy => {
                let len = snap::raw::decompress_len(compressed).ok()?;
                let (head, _) = target.split_at_mut_checked(len)?;
                snap::raw::Decoder::new().decompress(compressed, head).ok()
            }
            Self::Lz4 => lz4_flex::block::decompress_into(compressed, target).ok(),
            Self::Zlib => inflate(compressed, target, true),
            Self::Deflate => {
                inflate(compressed, target, true).or_else(|| inflate(compressed, target, false))
            }
        }
    }
}

/// Inflates into `target` and returns the size of the content. `None` if `compressed` is
/// damaged or holds more.
pub(super) fn inflate(compressed: &[u8], target: &mut [u8], zlib: bool) -> Option<usize> {
    let mut decoder = Decompress::new(zlib);
    match decoder.decompress(compressed, target, FlushDecompress::Finish) {
        Ok(Status::StreamEnd) => Some(u64_as_usize(decoder.total_out())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [(Compression, Method); 4] = [
        (Compression::Snappy, Method::Snappy),
        (Compression::Lz4, Method::Lz4),
        (Compression::Zlib, Method::Zlib),
        (Compression::None, Method::Stored),
    ];

    fn text() -> Vec<u8> {
        (0..32_768_u32)
            .map(|index| (index / 7 % 11) as u8)
            .collect()
    }

    #[test]
    fn what_is_compressed_comes_back_and_never_more_than_a_chunk() {
        let chunk = text();
        for (compression, method) in ALL {
            assert_eq!(Method::from_uri(compression.uri()), Some(method));
            assert_eq!(compression.to_string().parse(), Ok(compression));
            let mut target = b"before".to_vec();
            compression.compressor().append(&chunk, &mut target);
            let compressed = target.split_off(6);
            assert_eq!(target, b"before");
            if compression == Compression::None {
                assert_eq!(compressed, chunk);
                continue;
            }
            assert!(compressed.len() < chunk.len() / 4);
            let mut target = vec![0; chunk.len()];
            assert_eq!(
                method.decompress(&compressed, &mut target),
                Some(chunk.len())
            );
            assert_eq!(target, chunk);
            let mut short = vec![0; chunk.len() - 1];
            assert_eq!(method.decompress(&compressed, &mut short), None);
            for cut in 0..compressed.len() {
                let found = method.decompress(&compressed[..cut], &mut target);
                assert!(found.is_none_or(|found| found < chunk.len()), "{method:?}");
            }
        }
    }

    #[test]
    fn deflate_accepts_what_others_store_under_its_name() {
        let chunk = text();
        let mut raw = Vec::with_capacity(chunk.len());
        Compress::new(flate2::Compression::fast(), false)
            .compress_vec(&chunk, &mut raw, FlushCompress::Finish)
            .unwrap();
        let mut wrapped = vec![0; chunk.len()];
        let len = zlib(&chunk, &mut wrapped).unwrap();
        wrapped.truncate(len);
        for compressed in [raw, wrapped, chunk.clone()] {
            let mut target = vec![0; chunk.len()];
            assert_eq!(
                Method::Deflate.decompress(&compressed, &mut target),
                Some(chunk.len())
            );
            assert_eq!(target, chunk);
        }
    }

    #[test]
    fn what_does_not_shrink_is_stored() {
        let mut state = 1_u64;
        let noise: Vec<u8> = (0..32_768)
            .map(|_| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                (state >> 56) as u8
            })
            .collect();
        for (compression, _) in ALL {
            let mut target = Vec::new();
            compression.compressor().append(&noise, &mut target);
            assert_eq!(target, noise);
        }
        assert_eq!("zstd:3".parse::<Compression>(), Err(CompressionError::Zstd));
        assert!("gzip".parse::<Compression>().is_err());
    }
}
