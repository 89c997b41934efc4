// SPDX-License-Identifier: MIT OR Apache-2.0
//! The image holds the memory, whatever the number of threads and the format.

use crate::fake::{Fake, chunks_of, manifest_of, page, verify};
use linpmem_formats::open_image;
use linpmem_manifest::{ListedChunk, Manifest};
use linpmem_phys::{PhysAddr, Unreadables};
use std::fs;
use std::path::Path;

fn assert_holds(image: &Path, first: u64, last: u64) {
    let image = open_image(image).unwrap();
    let mut got = [0; 4096];
    let mut unreadable = Unreadables::new();
    for start in (first..=last).step_by(4096) {
        image
            .read_phys(PhysAddr::new(start), &mut got, &mut unreadable)
            .unwrap();
        assert!(got == page(start), "page {start:#x} differs");
    }
    assert!(unreadable.is_empty());
}

#[test]
fn every_byte_arrives_from_one_thread_and_from_many_compressed_or_not() {
    let folder = tempfile::tempdir().unwrap();
    let mut files = Vec::new();
    for (name, threads) in [
        ("1.core", "1"),
        ("2.core", "2"),
        ("16.core", "16"),
        ("1.core.zst", "1"),
        ("4.core.zst", "4"),
        ("1.core.lz4", "1"),
        ("4.core.lz4", "4"),
        ("1.core.sz", "1"),
        ("4.core.sz", "4"),
    ] {
        let words = [name, "--include-reserved", "--threads", threads];
        let summary = Fake::default().acquire(folder.path(), &words).unwrap();
        assert_eq!(summary.exit_status().code(), 0);
        let image = folder.path().join(name);
        assert_eq!(verify(&image).0, 0, "{name}");
        assert_holds(&image, 0, 0x9_ffff);
        assert_holds(&image, 0x10_0000, 0x8f_ffff);
        assert_holds(&image, 0x1_0000_0000, 0x1_00ff_efff);
        let manifest = (manifest_of(&summary), chunks_of(&summary));
        files.push((fs::read(&image).unwrap(), manifest));
    }
    let (first, manifest) = &files[0];
    for (bytes, _) in &files[1..3] {
        assert!(bytes == first, "threads changed the image");
    }
    for pair in [3, 5, 7] {
        assert!(
            files[pair].0 == files[pair + 1].0,
            "threads changed the frames"
        );
        assert!(files[pair].0.len() < first.len());
    }
    for name in ["1.core.lz4", "1.core.sz"] {
        let path = folder.path().join(name);
        let bytes = linpmem_formats::open_bytes(&path).unwrap().bytes;
        let mut content = vec![0; first.len()];
        assert_eq!(bytes.len(), u64::try_from(first.len()).unwrap());
        bytes.read_exact_at(0, &mut content).unwrap();
        assert!(&content == first, "{name}: compression changed the image");
    }
    let decompressed = zstd::decode_all(files[3].0.as_slice()).unwrap();
    assert!(&decompressed == first, "compression changed the image");
    for (_, other) in &files[1..] {
        let sums = |(manifest, chunks): &(Manifest, Vec<ListedChunk>)| {
            let ranges = manifest.ranges.iter();
            let ranges = ranges.map(|range| (range.end.sha256_tree, range.record.clone()));
            let chunks = chunks.iter().map(|listed| {
                let chunk = listed.chunk;
                (listed.range, listed.number, chunk.addresses, chunk.content)
            });
            (ranges.collect::<Vec<_>>(), chunks.collect::<Vec<_>>())
        };
        assert_eq!(sums(manifest), sums(other));
    }
}

#[test]
fn raw_images_hold_ranges_back_to_back_or_at_their_addresses() {
    let folder = tempfile::tempdir().unwrap();
    Fake::default()
        .acquire(folder.path(), &["a.raw", "--range", "0-0x9fffff"])
        .unwrap();
    let raw = fs::read(folder.path().join("a.raw")).unwrap();
    let expected: Vec<u8> = (0x1000..0xa_0000_u64)
        .chain(0x10_0000..0x80_0000)
        .step_by(4096)
        .flat_map(page)
        .collect();
    assert!(raw == expected);

    for name in ["a.padded", "a.padded.zst"] {
        Fake::default()
            .acquire(folder.path(), &[name, "--range", "0-0x9fffff"])
            .unwrap();
        assert_eq!(verify(&folder.path().join(name)).0, 0);
    }
    let padded = fs::read(folder.path().join("a.padded")).unwrap();
    let compressed = fs::File::open(folder.path().join("a.padded.zst")).unwrap();
    assert!(zstd::decode_all(compressed).unwrap() == padded);
    assert_eq!(padded.len(), 0x80_0000);
    assert!(padded[..0x1000].iter().all(|&byte| byte == 0));
    assert!(padded[0xa_0000..0x10_0000].iter().all(|&byte| byte == 0));
    assert!(padded[0x10_0000..] == expected[0x9_f000..]);
}

#[test]
fn an_image_is_a_source_and_gives_the_same_image_again() {
    let folder = tempfile::tempdir().unwrap();
    Fake::default()
        .acquire(folder.path(), &["first.core.zst"])
        .unwrap();
    let again = |source: &str, output: &str| {
        let source = format!("file:{}", folder.path().join(source).display());
        assert_cmd::Command::cargo_bin("linpmem-dump")
            .unwrap()
            .current_dir(folder.path())
            .args(["--source", &source, output])
            .assert()
            .success();
        fs::read(folder.path().join(output)).unwrap()
    };
    let elf = again("first.core.zst", "second.core");
    let raw = again("second.core", "third.raw");
    assert!(raw.len() < elf.len());
    assert!(again("third.raw", "fourth.core") == elf);
}
