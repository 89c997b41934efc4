// SPDX-License-Identifier: MIT OR Apache-2.0
//! Images that are read back from the disk to be hashed.

use crate::fake::{Fake, chunks_of, manifest_of, range, verify};
use assert_cmd::Command;
use linpmem_capture::hash::{Hasher, sha256};
use linpmem_capture::stop::Stop;
use linpmem_dump::text::summary::Summary;
use linpmem_manifest::{FurtherHash, State};
use linpmem_phys::{Errno, PhysAddr};
use predicates::str::contains;
use std::fs;
use std::path::{Path, PathBuf};

/// Every format, and every compression around one.
const NAMES: [&str; 10] = [
    "a.core",
    "a.core.zst",
    "a.core.lz4",
    "a.core.sz",
    "a.raw",
    "a.lime",
    "a.padded",
    "a.aff4",
    "a.kdump",
    "a.avml",
];

/// Addresses without the 4 GiB that a padded image and the linear hash of a volume hash.
const LOW: &str = "--range=0-0x8fffff";

fn blake3(bytes: &[u8]) -> String {
    let mut hasher = Hasher::new(FurtherHash::Blake3);
    hasher.update(bytes);
    linpmem_phys::hex::encode(&hasher.finish())
}

fn partial(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.partial"))
}

#[test]
fn what_is_read_back_has_the_sums_of_what_was_written() {
    for name in NAMES {
        let folder = tempfile::tempdir().unwrap();
        let fake = Fake {
            refused: vec![(range(0x20_0000, 0x20_0fff), Errno::EIO)],
            ..Fake::default()
        };
        let words = [name, LOW, "--read-back", "--hash", "blake3"];
        let summary = fake.acquire(folder.path(), &words).unwrap();
        assert_eq!(summary.exit_status().code(), 3, "{name}: {summary}");
        let file = fs::read(folder.path().join(name)).unwrap();
        let manifest = manifest_of(&summary);
        assert_eq!(manifest.footer.file.sha256, Some(sha256(&file)), "{name}");
        let [further] = &manifest.footer.file.hashes[..] else {
            panic!("{name}: {:?}", manifest.footer.file.hashes);
        };
        assert_eq!(further.algorithm, FurtherHash::Blake3);
        assert_eq!(further.digest, blake3(&file));
        let hashed = manifest.footer.hashed.unwrap();
        let part = hashed.read_back.unwrap();
        let length = u64::try_from(file.len()).unwrap();
        assert_eq!((part.offset, part.bytes), (0, length), "{name}");
        // What happened, in its order.
        let written = manifest.written.unwrap();
        assert_eq!(written.length, length);
        let started = manifest.header.started.monotonic_ns;
        let read_end = started + written.read_us.end_us() * 1000;
        let moments = [
            read_end,
            written.synced.monotonic_ns,
            hashed.ready.monotonic_ns,
        ];
        assert!(moments.is_sorted(), "{name}: {moments:?}");
        assert!(written.read_us.duration_us > 0);
        assert!(folder.path().join(format!("{name}.sha256")).exists());
        assert_eq!(verify(&folder.path().join(name)).0, 0, "{name}");
    }
}

/// Whether a hash falls behind or not, it is that of the file, and the summary has both times.
#[test]
fn without_the_option_the_sums_are_the_same() {
    for name in ["a.core", "a.core.zst", "a.aff4"] {
        let folder = tempfile::tempdir().unwrap();
        let words = [name, LOW, "--hash", "md5,sha1,sha512,blake2b,blake3"];
        let summary = Fake::default().acquire(folder.path(), &words).unwrap();
        let file = fs::read(folder.path().join(name)).unwrap();
        let footer = manifest_of(&summary).footer;
        assert_eq!(footer.file.sha256, Some(sha256(&file)), "{name}");
        let expected = blake3(&file);
        assert_eq!(footer.file.hashes.len(), 5);
        assert_eq!(footer.file.hashes[4].digest, expected);
        let said = summary.to_string();
        assert!(said.contains("memory read in "), "{said}");
        assert!(said.contains("hashed and synced in "), "{said}");
        let document = summary.document();
        assert!(document.read <= document.synced && document.synced <= document.elapsed);
    }
    let folder = tempfile::tempdir().unwrap();
    let words = ["a.core", "--no-file-hash"];
    let summary = Fake::default().acquire(folder.path(), &words).unwrap();
    let said = summary.to_string();
    assert!(said.contains("; synced in "), "{said}");
    assert_eq!(manifest_of(&summary).footer.hashed, None);
}

/// A run whose file changes at `offset` between writing and reading back.
fn spoilt(folder: &Path, name: &str, offset: u64, more: &[&str]) -> Summary {
    let fake = Fake {
        spoil_again_at: Some((PhysAddr::new(0x1000), partial(folder, name), offset)),
        ..Fake::default()
    };
    let words = [&[name, LOW, "--second-pass", "--read-back"], more].concat();
    fake.acquire(folder, &words).unwrap()
}

#[test]
fn a_chunk_that_the_disk_does_not_give_back_is_named_and_the_image_is_not_whole() {
    for name in ["a.core", "a.core.zst", "a.core.lz4", "a.raw", "a.padded"] {
        for more in [&[][..], &["--no-file-hash"]] {
            let known = tempfile::tempdir().unwrap();
            let whole = Fake::default().acquire(known.path(), &[name, LOW]).unwrap();
            let chunks = chunks_of(&whole);
            let chunk = chunks[3].chunk;
            let begin = match chunk.frame {
                Some(frame) => frame.offset,
                None => {
                    let ranges = manifest_of(&whole).ranges;
                    let range = &ranges[usize::try_from(chunks[3].range).unwrap()];
                    let within = chunk.addresses.start().checked_sub(range.addresses.start());
                    range.record.file_offset.unwrap() + within.unwrap().get()
                }
            };
            let folder = tempfile::tempdir().unwrap();
            let summary = spoilt(folder.path(), name, begin + 100, more);
            assert_eq!(
                (summary.acquired.state, summary.exit_status().code()),
                (State::Failed, 1),
                "{name}: {summary}"
            );
            let manifest = manifest_of(&summary);
            let error = manifest.footer.error.unwrap();
            for part in [
                format!("chunk {} of range {}", chunks[3].number, chunks[3].range),
                chunk.addresses.to_string(),
                format!("offset {begin:#x}"),
            ] {
                assert!(error.contains(&part), "{name}: {error}");
            }
            assert_eq!(manifest.footer.file.sha256, None);
            assert_eq!(manifest.footer.hashed, None);
            assert!(!folder.path().join(name).exists());
            assert!(!folder.path().join(format!("{name}.sha256")).exists());
            let (code, words) = verify(&partial(folder.path(), name));
            assert_eq!(code, 1);
            assert!(words.contains(&chunk.addresses.to_string()), "{words}");
        }
    }
}

#[test]
fn headers_and_formats_without_places_are_compared_as_well() {
    for (name, offset, what) in [
        ("a.core", 40, "headers, notes or padding"),
        // In the frame of the headers.
        ("a.core.zst", 20, "headers, notes or padding"),
        ("a.lime", 8, "headers, notes or padding"),
        ("a.kdump", 500_000, "somewhere up to its end"),
        ("a.avml", 500_000, "somewhere up to its end"),
        ("a.aff4", 500_000, "somewhere up to its end"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        // The second pass has to open what it compares.
        let summary = spoilt(folder.path(), name, offset, &[]);
        assert_eq!(summary.acquired.state, State::Failed, "{name}: {summary}");
        let error = manifest_of(&summary).footer.error.unwrap();
        assert!(error.contains(what), "{name}: {error}");
        assert!(!folder.path().join(name).exists());
    }
}

#[test]
fn a_stop_while_it_is_read_back_leaves_a_whole_image_without_that_hash() {
    for name in ["a.core", "a.aff4"] {
        let folder = tempfile::tempdir().unwrap();
        let fake = Fake {
            // The last page of the second pass, which is complete then.
            stop_again_at: Some((PhysAddr::new(0x7f_f000), Stop::default())),
            ..Fake::default()
        };
        let words = [name, LOW, "--second-pass", "--read-back"];
        let summary = fake.acquire(folder.path(), &words).unwrap();
        assert_eq!(
            (summary.acquired.state, summary.exit_status().code()),
            (State::Complete, 0),
            "{name}: {summary}"
        );
        let manifest = manifest_of(&summary);
        assert_eq!(manifest.footer.file.sha256, None);
        assert_eq!(manifest.footer.hashed, None);
        assert_eq!(manifest.footer.error, None);
        let warnings = manifest.footer.warnings.join("; ");
        assert!(
            warnings.contains("while the file was read back"),
            "{warnings}"
        );
        assert!(summary.to_string().contains("; synced in "), "{summary}");
        assert!(!folder.path().join(format!("{name}.sha256")).exists());
        assert_eq!(verify(&folder.path().join(name)).0, 0);
    }
}

/// What a kill at that moment leaves: the file is whole, and the manifest says so, but it has
/// no last line.
#[test]
fn after_a_kill_while_it_is_read_back_the_image_can_get_its_name() {
    for name in ["a.core", "a.core.zst", "a.aff4", "a.kdump", "a.raw"] {
        for cut in ["", "{\"foot", "{\"second_pass\":{\"started\":"] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join(name);
            let summary = Fake::default()
                .acquire(folder.path(), &[name, LOW])
                .unwrap();
            let manifest = &summary.acquired.manifest;
            let text = fs::read_to_string(manifest).unwrap();
            let written = text.find("{\"written\"").unwrap();
            let end = written + text[written..].find('\n').unwrap() + 1;
            let left = partial(folder.path(), name);
            let left_manifest = folder.path().join(format!("{name}.partial.manifest.jsonl"));
            fs::write(&left_manifest, format!("{}{cut}", &text[..end])).unwrap();
            fs::remove_file(manifest).unwrap();
            fs::remove_file(folder.path().join(format!("{name}.sha256"))).unwrap();
            fs::rename(&path, &left).unwrap();
            let (code, words) = verify(&left);
            if name == "a.aff4" {
                // The manifest inside has its end.
                assert_eq!(code, 0, "{name}: {words}");
            } else {
                assert_eq!(code, 3, "{name}: {words}");
                assert!(words.contains("The image was whole by then"), "{words}");
            }
            Command::cargo_bin("linpmem-dump")
                .unwrap()
                .arg("recover")
                .arg(&left)
                .assert()
                .success()
                .stdout(contains(name));
            assert!(!left.exists() && !left_manifest.exists(), "{name}");
            let manifest = linpmem_manifest::read(manifest).unwrap();
            assert_eq!(manifest.footer.state, State::Complete);
            assert_eq!(manifest.footer.file.sha256, None);
            let warnings = manifest.footer.warnings.join("; ");
            assert!(warnings.contains("killed"), "{warnings}");
            assert_eq!(verify(&path).0, 0, "{name}");
        }
    }
}
