// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reference images of the standard, read to their published hashes.

use linpmem_formats::{FileSource, ImageReader, aff4};
use sha1::{Digest, Sha1};
use sha2::Sha256;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

/// The folder with the images; `None`, said aloud, without it.
pub fn folder() -> Option<PathBuf> {
    let folder = std::env::var_os("LINPMEM_REFERENCE_DATA").map(PathBuf::from);
    let folder = folder.map(|folder| folder.join("aff4"));
    if folder.as_ref().is_none_or(|folder| !folder.is_dir()) {
        // Past the capture of the test's own output: nobody is to take this for a pass.
        let mut stderr = std::io::stderr();
        writeln!(
            stderr,
            "SKIPPED: LINPMEM_REFERENCE_DATA names no folder with aff4/ in it"
        )
        .unwrap();
        return None;
    }
    folder
}

fn open(name: &str) -> Option<aff4::Reader> {
    let path = folder()?.join(name);
    let source = FileSource::open(&path).unwrap();
    Some(aff4::Reader::open(vec![Arc::new(source)]).unwrap())
}

fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// SHA-1 and SHA-256 of all addresses, read in pieces of an odd size.
fn sums(image: &aff4::Reader) -> (String, String) {
    let linear = image.linear();
    let (mut sha1, mut sha256) = (Sha1::new(), Sha256::new());
    let mut buf = vec![0; 1_000_003];
    let mut offset = 0;
    while offset < linear.len() {
        let left = usize::try_from(linear.len() - offset).unwrap();
        let len = left.min(buf.len());
        linear.read_exact_at(offset, &mut buf[..len]).unwrap();
        sha1.update(&buf[..len]);
        sha256.update(&buf[..len]);
        offset += u64::try_from(len).unwrap();
    }
    (hex(&sha1.finalize()), hex(&sha256.finalize()))
}

#[test]
fn a_disk_image_reads_to_its_published_hashes() {
    let Some(image) = open("Base-Linear.aff4") else {
        return;
    };
    let (sha1, sha256) = sums(&image);
    assert_eq!(sha1, "7d3d27f667f95f7ec5b9d32121622c0f4b60b48d");
    assert_eq!(
        sha256,
        "d7d6df4534f06568eb90a06e252592c9b79378b95bb9a7e01db3a388feda6c13"
    );
}

#[test]
fn a_memory_image_with_holes_reads_to_its_published_hash() {
    let Some(image) = open("Micro7.001.aff4") else {
        return;
    };
    assert_eq!(sums(&image).0, "deaa3877443908ac4d01ca410ff1012c8ab0db35");
    let ranges: Vec<(u64, u64)> = image
        .ranges()
        .iter()
        .map(|stored| (stored.range.start().get(), stored.range.len().get()))
        .collect();
    assert_eq!(ranges, [(0, 1024), (2048, 131_072), (137_216, 8704)]);
}

#[test]
fn every_hash_in_them_is_right() {
    for (name, hashes, undefined) in [("Base-Linear.aff4", 13, 1), ("Micro7.001.aff4", 9, 2)] {
        let Some(image) = open(name) else {
            return;
        };
        let mut right = 0;
        let mut unknown = 0;
        image.verify(|check| match check.verdict {
            aff4::Verdict::Match if check.level == aff4::Level::Member => {}
            aff4::Verdict::Match => right += 1,
            aff4::Verdict::NotChecked(_) => unknown += 1,
            _ => panic!("{check:?}"),
        });
        // Hashes whose definition nobody published: imageStreamHash, linearBlockHash.
        assert_eq!((right, unknown), (hashes, undefined), "{name}");
    }
}
