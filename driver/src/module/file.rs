// SPDX-License-Identifier: MIT OR Apache-2.0
//! A module file: its compression, and what it says about itself.

use linpmem_phys::num::usize_as_u64;
use std::fs::File;
use std::io::{self, Read};

/// The most bytes of a module, compressed or not. Ours has 100 KiB, or a few MiB with
/// debug symbols.
const MAX_BYTES: u64 = 64 << 20;

/// The most memory that an xz dictionary may take, in KiB. The kernel's build uses up to
/// 32 MiB.
#[cfg(feature = "decompress")]
const XZ_KIB: u32 = 80 << 10;

/// How a module file is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packing {
    /// Not compressed: an ELF file.
    None,
    Xz,
    Zstd,
    Gzip,
}

impl Packing {
    /// The compression of a file with these first bytes.
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        [
            (&b"\x7fELF"[..], Self::None),
            (b"\xfd7zXZ\0", Self::Xz),
            (b"\x28\xb5\x2f\xfd", Self::Zstd),
            (b"\x1f\x8b", Self::Gzip),
        ]
        .into_iter()
        .find_map(|(magic, packing)| bytes.starts_with(magic).then_some(packing))
    }
}

/// The bytes of a module file.
pub(super) struct ModuleFile {
    bytes: Vec<u8>,
}

impl ModuleFile {
    /// Reads `file`.
    pub(super) fn read(file: &File) -> io::Result<Self> {
        let mut bytes = Vec::new();
        file.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
        check_len(bytes.len())?;
        Ok(Self { bytes })
    }

    /// A file with this content.
    pub(super) fn from_bytes(bytes: Vec<u8>) -> Self {
        Self { bytes }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn packing(&self) -> Option<Packing> {
        Packing::of(&self.bytes)
    }

    /// The decompressed file.
    ///
    /// # Errors
    /// If it is damaged, or this library was built without the feature
    /// `decompress`.
    pub(super) fn unpacked(&self) -> io::Result<Self> {
        let bytes = match self.packing() {
            Some(Packing::None) => self.bytes.clone(),
            Some(packing) => unpack(packing, &self.bytes)?,
            None => return Err(io::Error::other("it is not ELF, xz, zstd or gzip")),
        };
        Ok(Self { bytes })
    }

    /// The kernel release that it was built for: the first word of its vermagic.
    pub(super) fn release(&self) -> Option<&str> {
        let magic = self.fields("vermagic=").next()?;
        magic.split(' ').next()
    }

    /// Whether the module has a parameter called `name`.
    pub(super) fn has_parameter(&self, name: &str) -> bool {
        self.fields("parmtype=")
            .any(|field| field.split(':').next() == Some(name))
    }

    /// The values of `key` in `.modinfo`, a section of strings with zero bytes between
    /// them. The whole file is searched, which is good enough: the values only appear
    /// in errors and select the default of a parameter.
    fn fields<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.bytes
            .split(|&byte| byte == 0)
            .filter_map(move |field| field.strip_prefix(key.as_bytes()))
            .filter_map(|value| std::str::from_utf8(value).ok())
    }
}

fn check_len(len: usize) -> io::Result<()> {
    if usize_as_u64(len) <= MAX_BYTES {
        return Ok(());
    }
    Err(io::Error::other(
        "it exceeds 64 MiB, the limit for a module",
    ))
}

#[cfg(feature = "decompress")]
fn unpack(packing: Packing, packed: &[u8]) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    match packing {
        Packing::None => bytes.extend_from_slice(packed),
        Packing::Gzip => {
            flate2::read::MultiGzDecoder::new(packed)
                .take(MAX_BYTES + 1)
                .read_to_end(&mut bytes)?;
        }
        Packing::Zstd => {
            ruzstd::decoding::StreamingDecoder::new(packed)
                .map_err(|error| io::Error::other(error.to_string()))?
                .take(MAX_BYTES + 1)
                .read_to_end(&mut bytes)?;
        }
        Packing::Xz => {
            lzma_rust2::XzReader::new_mem_limit(packed, false, XZ_KIB)
                .take(MAX_BYTES + 1)
                .read_to_end(&mut bytes)?;
        }
    }
    check_len(bytes.len())?;
    Ok(bytes)
}

#[cfg(not(feature = "decompress"))]
fn unpack(_: Packing, _: &[u8]) -> io::Result<Vec<u8>> {
    Err(io::Error::other(
        "the kernel cannot, and this program was built without the feature decompress",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_what_it_was_built_for_and_its_parameters() {
        let file = ModuleFile::from_bytes(
            b"\x7fELF..\0parmtype=major:uint\0vermagic=6.1.0-1 SMP preempt\0..".to_vec(),
        );
        assert_eq!(file.packing(), Some(Packing::None));
        assert_eq!(file.release(), Some("6.1.0-1"));
        assert!(file.has_parameter("major"));
        assert!(!file.has_parameter("maj"));
        assert!(!file.has_parameter("allow_device"));
        assert_eq!(Packing::of(b"#!/bin/sh"), None);
    }

    #[cfg(feature = "decompress")]
    #[test]
    fn gzip_is_decompressed_and_bombs_are_not() {
        use std::io::Write;
        let pack = |bytes: &[u8]| {
            let level = flate2::Compression::best();
            let mut packer = flate2::write::GzEncoder::new(Vec::new(), level);
            packer.write_all(bytes).unwrap();
            ModuleFile::from_bytes(packer.finish().unwrap())
        };
        let plain = b"\x7fELF a module";
        let packed = pack(plain);
        assert_eq!(packed.packing(), Some(Packing::Gzip));
        assert_eq!(packed.unpacked().unwrap().bytes(), plain);
        let bomb = pack(&vec![0; usize::try_from(MAX_BYTES).unwrap() + 1]);
        let refused = bomb.unpacked().err().unwrap();
        assert!(refused.to_string().contains("64 MiB"), "{refused}");
    }

    /// One of the first inputs of fuzzing.
    #[cfg(feature = "decompress")]
    #[test]
    fn xz_is_decompressed() {
        let packed = include_bytes!("../../fuzz/seeds/module_file/xz");
        let plain = include_bytes!("../../fuzz/seeds/module_file/plain");
        let packed = ModuleFile::from_bytes(packed.to_vec());
        assert_eq!(packed.packing(), Some(Packing::Xz));
        assert_eq!(packed.unpacked().unwrap().bytes(), plain);
    }

    #[cfg(feature = "decompress")]
    #[test]
    fn damaged_files_are_errors() {
        for magic in [&b"\x1f\x8b\x08"[..], b"\x28\xb5\x2f\xfd", b"\xfd7zXZ\0"] {
            let mut bytes = magic.to_vec();
            bytes.extend_from_slice(&[0x5a; 64]);
            assert!(ModuleFile::from_bytes(bytes).unpacked().is_err());
        }
    }
}
