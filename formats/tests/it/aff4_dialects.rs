// SPDX-License-Identifier: MIT OR Apache-2.0
//! AFF4 volumes by other writers.

use crate::aff4_volume::Volume;
use linpmem_formats::{ImageReader, aff4};
use linpmem_phys::{PhysAddr, ReadPhys, Unreadables};
use std::sync::Arc;

fn record(start: u64, len: u64, offset: u64, target: u32) -> Vec<u8> {
    let mut record = [start, len, offset].map(u64::to_le_bytes).concat();
    record.extend(target.to_le_bytes());
    record
}

fn index(chunks: &[(u64, u32)]) -> Vec<u8> {
    chunks
        .iter()
        .flat_map(|(offset, len)| [&offset.to_le_bytes()[..], &len.to_le_bytes()].concat())
        .collect()
}

fn read(image: &aff4::Reader, start: u64, len: usize) -> (Vec<u8>, u64) {
    let mut buf = vec![0xee; len];
    let mut unreadable = Unreadables::new();
    image
        .read_phys(PhysAddr::new(start), &mut buf, &mut unreadable)
        .unwrap();
    (buf, unreadable.total().get())
}

/// One object that is both map and image, zlib and stored data under the name of deflate,
/// and repeated names.
#[test]
fn by_c_aff4s_linpmem() {
    let chunk: Vec<u8> = (0..4096_u32)
        .map(|at| u8::try_from(at / 100).unwrap())
        .collect();
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut zlib, &chunk).unwrap();
    let zlib = zlib.finish().unwrap();
    let first = u32::try_from(zlib.len()).unwrap();
    let bevy = [zlib, vec![9; 4096]].concat();
    let bytes = Volume::new("aff4://v")
        .member("proc%2fkcore/map", &record(0x10_0000, 8192, 0, 1))
        .member(
            "proc%2fkcore/idx",
            b"aff4://v/proc/kcore/data\naff4://v/proc/kcore/data\n",
        )
        .member("proc%2fkcore/data/00000000", &bevy)
        .member(
            "proc%2fkcore/data/00000000.index",
            &index(&[(0, first), (u64::from(first), 4096)]),
        )
        .finish(
            "<aff4://v/proc/kcore> a aff4:Map , aff4:Image ; \
             aff4:category <http://aff4.org/Schema#memory/physical> .\n\
             <aff4://v/proc/kcore/data> a aff4:ImageStream ; aff4:chunkSize \"4096\"^^xsd:int ; \
             aff4:chunksInSegment 4 ; aff4:size \"8192\"^^xsd:long ; \
             aff4:compressionMethod <https://tools.ietf.org/html/rfc1951> .",
        );
    let image = crate::aff4_images::open(bytes);
    let ranges: Vec<String> = image
        .ranges()
        .iter()
        .map(|stored| stored.range.to_string())
        .collect();
    assert_eq!(ranges, ["0x100000-0x101fff"]);
    let expected = [chunk, vec![9; 4096]].concat();
    assert_eq!(read(&image, 0x10_0000, 8192), (expected, 0));
    assert_eq!(read(&image, 0, 4096).1, 4096);
}

/// Types in lower case, other names of properties, u32 offsets in the index, records with
/// their fields in another order, facts in YAML.
#[test]
fn from_before_the_standard() {
    let chunk = |byte: u8| {
        snap::raw::Encoder::new()
            .compress_vec(&[byte; 4096])
            .unwrap()
    };
    let (a, b) = (chunk(1), chunk(2));
    let offsets = [0, u32::try_from(a.len()).unwrap()]
        .map(u32::to_le_bytes)
        .concat();
    // Start, offset in the target, length, target.
    let records = [record(0x1000, 0, 4096, 0), record(0x8000, 4096, 4096, 0)].concat();
    let bytes = Volume::new("aff4://v")
        .member("PhysicalMemory/map", &records)
        .member("PhysicalMemory/idx", b"aff4://v/PhysicalMemory/data\n")
        .member(
            "PhysicalMemory/information.yaml",
            b"Registers:\n  CR3: 1998848\nkaslr_slide: 0x1e00000\n",
        )
        .member("PhysicalMemory/data/00000000", &[a, b].concat())
        .member("PhysicalMemory/data/00000000/index", &offsets)
        .finish(
            "<aff4://v/PhysicalMemory> a aff4:map ; \
             aff4:category <http://aff4.org/Schema#memory/physical> .\n\
             <aff4://v/PhysicalMemory/data> a aff4:image ; aff4:chunk_size 4096 ; \
             aff4:chunks_per_segment 1024 ; aff4:size 8192 ; \
             aff4:compression <https://github.com/google/snappy> .",
        );
    let image = crate::aff4_images::open(bytes);
    assert_eq!(read(&image, 0x1000, 4096), (vec![1; 4096], 0));
    assert_eq!(read(&image, 0x8000, 4096), (vec![2; 4096], 0));
    assert_eq!(read(&image, 0x2000, 4096).1, 4096);
    assert_eq!(image.facts().page_table, Some(1_998_848));
    assert_eq!(image.facts().kaslr_offset, Some(0x1e0_0000));
}

/// Two volumes, each with a map and a stream of its own.
#[test]
fn striped() {
    let volume = |own: &str, start: u64, byte: u8| {
        Volume::new(&format!("aff4://{own}"))
            .member("map/map", &record(start, 4096, 0, 0))
            .member("map/idx", format!("aff4://{own}/data\n").as_bytes())
            .member("data/00000000", &[byte; 4096])
            .member("data/00000000.index", &index(&[(0, 4096)]))
            .finish(&format!(
                "<aff4://image> a aff4:MemoryImage ; aff4:dataStream <aff4://{own}/map> .\n\
                 <aff4://{own}/map> a aff4:Map ; aff4:size 8192 .\n\
                 <aff4://{own}/data> a aff4:ImageStream ; aff4:size 4096 ; aff4:chunkSize 4096 ; \
                 aff4:chunksInSegment 1 ."
            ))
    };
    let (a, b) = (volume("a", 0, 1), volume("b", 4096, 2));
    let both = aff4::Reader::open(vec![Arc::new(b.clone()), Arc::new(a.clone())]).unwrap();
    let expected = [vec![1; 4096], vec![2; 4096]].concat();
    assert_eq!(read(&both, 0, 8192), (expected, 0));
    assert!(aff4::Reader::open(vec![Arc::new(a.clone()), Arc::new(a)]).is_err());
    let half = aff4::Reader::open(vec![Arc::new(b)]).unwrap();
    assert_eq!(read(&half, 0, 8192).1, 4096);
}
