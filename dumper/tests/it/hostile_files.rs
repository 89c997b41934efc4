// SPDX-License-Identifier: MIT OR Apache-2.0
//! Small files that describe far more than they have.

use flate2::Compression;
use flate2::write::DeflateEncoder;
use std::io::Write;

/// A zip archive being written, as an AFF4 volume or as nothing that makes sense.
pub struct Zip {
    bytes: Vec<u8>,
    directory: Vec<u8>,
    members: u64,
}

/// A member that is there, to give it further names.
#[derive(Clone)]
pub struct Member {
    fields: Vec<u8>,
    offset: u32,
}

const URN: &str = "aff4://v";

/// An image with a map; the rest of a description follows.
pub const IMAGE: &str = "@prefix : <http://aff4.org/Schema#> .\n\
                         <aff4://v/i> a :MemoryImage ; :dataStream <aff4://v/map> .\n\
                         <aff4://v/map> a :Map .\n";

impl Zip {
    pub fn new() -> Self {
        let mut zip = Self {
            bytes: Vec::new(),
            directory: Vec::new(),
            members: 0,
        };
        zip.stored("container.description", URN.as_bytes());
        zip
    }

    /// A volume with the map of [`IMAGE`].
    pub fn with_map() -> Self {
        let mut zip = Self::new();
        zip.stored("map/map", &record(0, 65_536));
        zip.stored("map/idx", b"http://aff4.org/Schema#Zero\n");
        zip
    }

    pub fn stored(&mut self, name: &str, content: &[u8]) -> Member {
        self.add(name, content, 0, content.len())
    }

    pub fn deflated(&mut self, name: &str, content: &[u8]) -> Member {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(content).unwrap();
        self.add(name, &encoder.finish().unwrap(), 8, content.len())
    }

    fn add(&mut self, name: &str, stored: &[u8], method: u16, len: usize) -> Member {
        let mut fields = [20_u16, 0, method, 0, 0].map(u16::to_le_bytes).concat();
        fields.extend([0; 4]);
        for size in [stored.len(), len] {
            fields.extend(u32::try_from(size).unwrap().to_le_bytes());
        }
        let offset = u32::try_from(self.bytes.len()).unwrap();
        self.bytes.extend(b"PK\x03\x04");
        self.bytes.extend(&fields);
        self.bytes.extend(lens(name));
        self.bytes.extend(name.as_bytes());
        self.bytes.extend(stored);
        let member = Member { fields, offset };
        self.again(name, &member);
        member
    }

    /// A further name for a member.
    pub fn again(&mut self, name: &str, member: &Member) {
        self.directory.extend(b"PK\x01\x02\x14\0");
        self.directory.extend(&member.fields);
        self.directory.extend(lens(name));
        self.directory.extend([0; 10]);
        self.directory.extend(member.offset.to_le_bytes());
        self.directory.extend(name.as_bytes());
        self.members += 1;
    }

    /// The volume with this description, which is compressed.
    pub fn finish(mut self, turtle: &str) -> Vec<u8> {
        self.deflated("information.turtle", turtle.as_bytes());
        let offset = u64::try_from(self.bytes.len()).unwrap();
        let len = u64::try_from(self.directory.len()).unwrap();
        let mut bytes = self.bytes;
        bytes.extend(self.directory);
        bytes.extend(b"PK\x06\x06");
        bytes.extend(44_u64.to_le_bytes());
        bytes.extend([45, 0, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        for number in [self.members, self.members, len, offset] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend(b"PK\x06\x07\0\0\0\0");
        bytes.extend((offset + len).to_le_bytes());
        bytes.extend(1_u32.to_le_bytes());
        bytes.extend(b"PK\x05\x06\0\0\0\0");
        bytes.extend([0xff; 12]);
        bytes.extend(u16::try_from(URN.len()).unwrap().to_le_bytes());
        bytes.extend(URN.as_bytes());
        bytes
    }
}

/// The lengths of a name and of no extra fields.
fn lens(name: &str) -> [u8; 4] {
    let [low, high] = u16::try_from(name.len()).unwrap().to_le_bytes();
    [low, high, 0, 0]
}

/// A record of a map: of `len` bytes from `start` on, at the beginning of the first stream.
pub fn record(start: u64, len: u64) -> Vec<u8> {
    let mut record = [start, len, 0].map(u64::to_le_bytes).concat();
    record.extend([0; 4]);
    record
}

/// A volume with a stream of one segment.
pub fn stream(properties: &str, segment: &[u8], index: &[u8], hashes: &[u8]) -> Vec<u8> {
    let mut zip = Zip::new();
    zip.stored("map/map", &record(0, 1 << 40));
    zip.stored("map/idx", b"aff4://v/s\n");
    zip.deflated("s/00000000", segment);
    zip.deflated("s/00000000.index", index);
    zip.deflated("s/00000000.blockHash.sha1", hashes);
    zip.finish(&format!(
        "{IMAGE}<aff4://v/map> :size {} .\n<aff4://v/s> a :ImageStream ; {properties} .",
        1_u64 << 40
    ))
}

/// `content` in zstd frames of up to 32 MiB.
pub fn zstd(content: &[u8]) -> Vec<u8> {
    let frames = content.chunks(32 << 20);
    frames
        .flat_map(|piece| ::zstd::bulk::compress(piece, 1).unwrap())
        .collect()
}

/// A kdump-compressed image in which each byte of the bitmaps is the same.
pub fn kdump(pages: u32, present: u8, dumped: u8) -> Vec<u8> {
    let blocks = pages.div_ceil(32_768);
    let mut bytes = vec![0; 8192];
    let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
    put(0, b"KDUMP   \x06");
    put(12 + 4 * 65, b"x86_64");
    put(428, &4096_u32.to_le_bytes());
    put(432, &1_u32.to_le_bytes());
    put(436, &(2 * blocks).to_le_bytes());
    put(440, &pages.to_le_bytes());
    put(4096 + 96, &u64::from(pages).to_le_bytes());
    let bitmap = usize::try_from(blocks).unwrap() * 4096;
    bytes.resize(bytes.len() + bitmap, present);
    bytes.resize(bytes.len() + bitmap, dumped);
    bytes.resize(bytes.len() + usize::try_from(pages).unwrap() * 24, 0);
    bytes
}

/// A LiME image of records of one byte each.
pub fn lime(records: u64) -> Vec<u8> {
    let record = |number: u64| {
        let addresses = [2 * number, 2 * number, 0].map(u64::to_le_bytes).concat();
        [&b"EMiL\x01\0\0\0"[..], &addresses, &[0]].concat()
    };
    (0..records).flat_map(record).collect()
}

/// A tar archive of so many MiB of zeros and of these files, in zstd frames.
pub fn archive(mib: u64, files: &[(String, &[u8])]) -> Vec<u8> {
    let block = ::zstd::bulk::compress(&vec![0; 1 << 20], 1).unwrap();
    archive_with(mib, &block, files)
}

/// The same, whose frames do not say how much is in them: nothing can be passed over.
pub fn archive_without_lengths(mib: u64, files: &[(String, &[u8])]) -> Vec<u8> {
    let zeros = vec![0; 1 << 20];
    let block = ::zstd::encode_all(zeros.as_slice(), 1).unwrap();
    archive_with(mib, &block, files)
}

fn archive_with(mib: u64, block: &[u8], files: &[(String, &[u8])]) -> Vec<u8> {
    let mut zeros = header("zeros", mib << 20);
    zeros = ::zstd::bulk::compress(&zeros, 1).unwrap();
    for _ in 0..mib {
        zeros.extend(block);
    }
    let mut rest = Vec::new();
    for (name, content) in files {
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(u64::try_from(content.len()).unwrap());
        header.set_mode(0o600);
        tar.append_data(&mut header, name, *content).unwrap();
        let file = tar.into_inner().unwrap();
        // Without the end of the archive.
        rest.extend(&file[..file.len() - 1024]);
    }
    rest.extend([0; 1024]);
    zeros.extend(::zstd::bulk::compress(&rest, 1).unwrap());
    zeros
}

fn header(name: &str, size: u64) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.set_path(name).unwrap();
    header.set_size(size);
    header.set_mode(0o600);
    header.set_cksum();
    header.as_bytes().to_vec()
}
