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

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    /// More zeros than the tests allow, in each kind of compression.
    fn bombs() -> [(Packing, Vec<u8>); 3] {
        let zeros = vec![0; 2 << 20];
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        gzip.write_all(&zeros).unwrap();
        // A literal, a run of it, and eight literals.
        let mut block = vec![0x1f, 0, 1, 0];
        block.extend_from_slice(&[255; 8223]);
        block.extend_from_slice(&[0, 0x70, 0, 0, 0, 0, 0, 0, 0]);
        let mut lz4 = LZ4_LEGACY.to_vec();
        for _ in 0..4 {
            lz4.extend_from_slice(&u32::try_from(block.len()).unwrap().to_le_bytes());
            lz4.extend_from_slice(&block);
        }
        // A frame of zstd: blocks that repeat a byte 128 KiB times.
        let mut zstd = vec![0x28, 0xb5, 0x2f, 0xfd, 0, 0x38];
        for is_last in [0; 15].into_iter().chain([1]) {
            let header: u32 = (128 << 10) << 3 | 1 << 1 | is_last;
            zstd.extend_from_slice(&header.to_le_bytes()[..3]);
            zstd.push(0);
        }
        [
            (Packing::Gzip, gzip.finish().unwrap()),
            (Packing::Lz4, lz4),
            (Packing::Zstd, zstd),
        ]
    }

    #[test]
    fn nothing_unpacks_to_more_than_the_limit() {
        for (packing, packed) in bombs() {
            assert_eq!(Packing::of(&packed), Ok(packing));
            assert!(unpack(&packed, u64::MAX, 64 << 20).is_ok(), "{packing:?}");
            let refused = unpack(&packed, u64::MAX, 1 << 20).unwrap_err();
            assert!(
                refused.contains("more than 1 MiB"),
                "{packing:?}: {refused}"
            );
        }
    }

    #[test]
    fn a_dictionary_larger_than_the_kernels_build_uses_is_refused() {
        // The headers of a stream and of its first block, for a dictionary of 2 GiB.
        let packed = b"\xfd\x37\x7a\x58\x5a\x00\x00\x00\xff\x12\xd9\x41\x02\x00\x21\x01\x26\x00\x00\x00\xd5\xd7\xce\x53";
        let refused = unpack(packed, 0, 1 << 20).unwrap_err();
        assert!(refused.contains("memory"), "{refused}");
    }
}
