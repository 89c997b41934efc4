// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reference images of the standard, read to their published hashes.

use linpmem_formats::{FileSource, ImageReader, ReadAt, aff4};
use sha1::{Digest, Sha1};
use sha2::Sha256;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The directory with the images. `None`, with a note on the terminal, if there is none.
pub fn folder() -> Option<PathBuf> {
    let folder = std::env::var_os("LINPMEM_REFERENCE_DATA").map(PathBuf::from);
    let folder = folder.map(|folder| folder.join("aff4"));
    if folder.as_ref().is_none_or(|folder| !folder.is_dir()) {
        // Written directly, since the test harness would capture it: this is not a pass.
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

/// The volumes of a striped image, in any order.
fn striped(folder: &Path, order: [u8; 2]) -> aff4::Reader {
    let volume = |number: u8| -> Arc<dyn ReadAt> {
        let name = format!("Striped-Base-Linear_{number}.aff4");
        Arc::new(FileSource::open(&folder.join(name)).unwrap())
    };
    aff4::Reader::open(order.map(volume).to_vec()).unwrap()
}

/// The hashes of `image` that match, but for the checksums of its members, and those that
/// nothing defines.
fn verified(image: &aff4::Reader) -> (Vec<String>, usize) {
    let (mut right, mut unknown) = (Vec::new(), 0);
    let all = image.verify(|check| match check.verdict {
        aff4::Verdict::Match if check.level == aff4::Level::Member => {}
        aff4::Verdict::Match => right.push(check.object),
        aff4::Verdict::NotChecked(_) => unknown += 1,
        _ => panic!("{check:?}"),
    });
    all.unwrap();
    (right, unknown)
}

#[test]
fn a_striped_image_reads_and_verifies_as_a_whole() {
    let Some(folder) = folder() else {
        return;
    };
    for order in [[1, 2], [2, 1]] {
        let image = striped(&folder, order);
        // The same disk as in Base-Linear.aff4.
        assert_eq!(sums(&image).0, "7d3d27f667f95f7ec5b9d32121622c0f4b60b48d");
        let (right, unknown) = verified(&image);
        let count = |ending: &str| right.iter().filter(|it| it.ends_with(ending)).count();
        assert_eq!(count(" blockMapHash"), 2, "{right:?}");
        // Of the image, and of each stream by two algorithms; of blocks, too.
        assert_eq!(count(" hash"), 1 + 4 + 4, "{right:?}");
        // imageStreamHash has no published definition.
        assert_eq!(unknown, 2);
        assert!(image.warnings().is_empty(), "{:?}", image.warnings());
    }
}

#[test]
fn one_volume_of_a_striped_image_says_what_is_missing() {
    let Some(folder) = folder() else {
        return;
    };
    for (number, other) in [
        (1, "aff4://51725cd9-3769-4be7-a8ab-94e3ea62bf9a"),
        (2, "aff4://7cbb47d0-b04c-42bc-8c04-87b7782739ad"),
    ] {
        let path = folder.join(format!("Striped-Base-Linear_{number}.aff4"));
        let volume: Arc<dyn ReadAt> = Arc::new(FileSource::open(&path).unwrap());
        let error = aff4::Reader::open(vec![volume]).unwrap_err().to_string();
        assert!(
            error.contains("striped") && error.contains(other),
            "{error}"
        );
        assert!(error.contains("--volume"), "{error}");
    }
}

#[test]
fn an_image_of_evimetrys_from_before_the_standard_verifies() {
    let Some(image) = open("PreStd-Base-Linear-ReadError.af4") else {
        return;
    };
    assert_eq!(image.linear().len(), 268_435_456);
    let mut text = [0; 14];
    image.linear().read_exact_at(15 << 20, &mut text).unwrap();
    assert_eq!(&text, b"UNREADABLEDATA");
    let mut bytes = [0; 4];
    image
        .linear()
        .read_exact_at(83_296_256, &mut bytes)
        .unwrap();
    assert_eq!(bytes, [0xff; 4]);
    image
        .linear()
        .read_exact_at(265_355_264, &mut bytes)
        .unwrap();
    assert_eq!(bytes, [0x61; 4]);
    let (right, unknown) = verified(&image);
    // linearBlockHash has no published definition.
    assert_eq!((right.len(), unknown), (11, 2), "{right:?}");
}

#[test]
fn every_hash_in_them_matches() {
    for (name, hashes, undefined) in [("Base-Linear.aff4", 13, 1), ("Micro7.001.aff4", 9, 2)] {
        let Some(image) = open(name) else {
            return;
        };
        let (right, unknown) = verified(&image);
        // Hashes without a published definition: imageStreamHash, linearBlockHash.
        assert_eq!((right.len(), unknown), (hashes, undefined), "{name}");
    }
}
