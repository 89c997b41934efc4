// SPDX-License-Identifier: MIT OR Apache-2.0
//! Decompression, within a limit: what a file says about its size is not believed.

use linpmem_phys::num::{u32_as_usize, u64_as_usize, usize_as_u64};
use lzma_rust2::XzReader;
use std::io::{self, Read};

/// The most memory that an xz dictionary may take, in KiB. The kernel's build uses up to
/// 32 MiB.
const XZ_KIB: u32 = 80 << 10;

/// How LZ4's command-line program of old, which the kernel's build uses, marks its files.
const LZ4_LEGACY: &[u8] = &[0x02, 0x21, 0x4c, 0x18];

/// The largest block of such a file, decompressed.
const LZ4_BLOCK: usize = 8 << 20;

/// How something is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packing {
    /// Not at all: ELF.
    None,
    Gzip,
    Lz4,
    Xz,
    Zstd,
}

/// Compression that kernels may use and that this program does not know.
const UNSUPPORTED: &[(&[u8], &str)] = &[
    (b"BZh", "bzip2"),
    (b"\x5d\0\0", "LZMA"),
    (b"\x89LZO", "LZO"),
];

impl Packing {
    /// The compression of something with these first bytes.
    pub(crate) fn of(bytes: &[u8]) -> Result<Self, String> {
        let known = [
            (&b"\x7fELF"[..], Self::None),
            (b"\xfd7zXZ\0", Self::Xz),
            (b"\x28\xb5\x2f\xfd", Self::Zstd),
            (b"\x1f\x8b", Self::Gzip),
            (LZ4_LEGACY, Self::Lz4),
        ];
        let starts = |magic: &[u8]| bytes.starts_with(magic);
        if let Some((_, packing)) = known.iter().find(|(magic, _)| starts(magic)) {
            return Ok(*packing);
        }
        Err(match UNSUPPORTED.iter().find(|(magic, _)| starts(magic)) {
            Some((_, name)) => format!("it is compressed with {name}, which linpmem cannot unpack"),
            None => "it is neither ELF nor compressed with gzip, LZ4, xz or zstd".to_owned(),
        })
    }
}

/// The decompressed bytes, `limit` at most. `expected` is how many to make room for at
/// first.
pub(crate) fn unpack(packed: &[u8], expected: u64, limit: u64) -> Result<Vec<u8>, String> {
    let packing = Packing::of(packed)?;
    let text = |error: io::Error| error.to_string();
    let mut bytes = Vec::new();
    let room = u64_as_usize(expected.min(limit));
    bytes
        .try_reserve_exact(room)
        .map_err(|_| format!("there is no memory for {room} bytes"))?;
    // One byte more than allowed tells that there are more.
    let most = limit + 1;
    match packing {
        Packing::None => {
            bytes.extend_from_slice(packed.get(..u64_as_usize(most)).unwrap_or(packed));
        }
        Packing::Gzip => {
            let reader = flate2::read::GzDecoder::new(packed);
            reader.take(most).read_to_end(&mut bytes).map_err(text)?;
        }
        Packing::Zstd => {
            let reader = ruzstd::decoding::StreamingDecoder::new(packed);
            let reader = reader.map_err(|error| error.to_string())?;
            reader.take(most).read_to_end(&mut bytes).map_err(text)?;
        }
        Packing::Xz => {
            let reader = XzReader::new_mem_limit(packed, false, XZ_KIB);
            reader.take(most).read_to_end(&mut bytes).map_err(text)?;
        }
        Packing::Lz4 => lz4_legacy(packed, &mut bytes, most)?,
    }
    if usize_as_u64(bytes.len()) > limit {
        return Err(format!(
            "it has more than {} MiB when unpacked",
            limit >> 20
        ));
    }
    Ok(bytes)
}

/// Blocks, each after its compressed length in four bytes, until the end.
fn lz4_legacy(packed: &[u8], bytes: &mut Vec<u8>, most: u64) -> Result<(), String> {
    let mut rest = packed.get(LZ4_LEGACY.len()..).unwrap_or_default();
    while let Some((len, after)) = rest.split_first_chunk() {
        if usize_as_u64(bytes.len()) >= most {
            return Ok(());
        }
        let len = u32_as_usize(u32::from_le_bytes(*len));
        let (block, after) = after
            .split_at_checked(len)
            .ok_or("its LZ4 data is truncated")?;
        let start = bytes.len();
        bytes.resize(start + LZ4_BLOCK, 0);
        let room = bytes.get_mut(start..).unwrap_or_default();
        let written = lz4_flex::block::decompress_into(block, room)
            .map_err(|error| format!("its LZ4 data is damaged: {error}"))?;
        bytes.truncate(start + written);
        rest = after;
    }
    Ok(())
}
