// SPDX-License-Identifier: MIT OR Apache-2.0
//! Half an image, in every format and with every command: a copy that broke off, and what a
//! killed run left.

use crate::fake::{Fake, page, range};
use assert_cmd::Command;
use linpmem_formats::{Truncation, open_image};
use linpmem_manifest::Manifest;
use linpmem_manifest::paths::manifest_of;
use linpmem_phys::{Errno, PAGE_SIZE, Unreadables};
use std::fs;
use std::path::Path;
use std::process::Output;

const FORMATS: [&str; 11] = [
    "core",
    "raw",
    "padded",
    "lime",
    "kdump",
    "avml",
    "aff4",
    "core.zst",
    "lime.lz4",
    "raw.sz",
    "padded.zst",
];

/// What is acquired: two ranges, the second one far above the first in most formats.
const RANGES: [(u64, u64); 2] = [(0x12_0000, 0x42_ffff), (0x50_0000, 0x6f_ffff)];

fn refusing() -> Fake {
    Fake {
        refused: vec![
            (range(0x12_1000, 0x12_1fff), Errno::EHWPOISON),
            (range(0x51_0000, 0x51_1fff), Errno::EHWPOISON),
        ],
        ..Fake::default()
    }
}

fn run(folder: &Path, words: &[&str]) -> (i32, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = Command::cargo_bin("linpmem-dump")
        .unwrap()
        .current_dir(folder)
        .args(words)
        .output()
        .unwrap();
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&stdout),
        String::from_utf8_lossy(&stderr)
    );
    assert!(!said.contains("panicked"), "{words:?}: {said}");
    (status.code().unwrap(), said)
}

/// Checks that a complete image, made of what was left of another one, has true bytes and
/// lists the rest. Returns how many bytes are missing.
fn is_true(image: &Path, what: &str) -> u64 {
    let manifest: Manifest = linpmem_manifest::read(&manifest_of(image)).unwrap();
    let opened = open_image(image).unwrap();
    let mut planned = 0;
    let mut missing = 0;
    for record in &manifest.ranges {
        planned += record.addresses.len().get();
        for piece in record.addresses.pieces(PAGE_SIZE) {
            let inside = |item: &linpmem_phys::Unreadable| item.range.intersect(piece).is_some();
            let errnos: Vec<Errno> = record
                .unreadable
                .iter()
                .filter(|item| inside(item))
                .map(|item| item.errno)
                .collect();
            if let [errno, ..] = errnos[..] {
                let is_refused = refusing().refused.iter().any(|(bad, _)| bad.covers(piece));
                assert!(
                    errno == Truncation::ERRNO || is_refused,
                    "{what}: {piece} {errno}"
                );
                missing += u64::from(errno == Truncation::ERRNO) * piece.len().get();
                continue;
            }
            let mut bytes = vec![0; 4096];
            let mut unreadable = Unreadables::new();
            opened
                .read_phys(piece.start(), &mut bytes, &mut unreadable)
                .unwrap();
            assert!(unreadable.is_empty(), "{what}: {unreadable:?}");
            let is_refused = refusing().refused.iter().any(|(bad, _)| bad.covers(piece));
            assert!(!is_refused, "{what}: {piece} was never read");
            assert!(bytes == page(piece.start().get()), "{what}: {piece}");
        }
    }
    let all: u64 = RANGES.iter().map(|(first, last)| last + 1 - first).sum();
    assert_eq!(planned, all, "{what}");
    missing
}

fn acquire(folder: &Path, name: &str) {
    let ranges = RANGES.map(|(first, last)| format!("{first:#x}-{last:#x}"));
    let words = [name, "--range", &ranges[0], "--range", &ranges[1]];
    refusing().acquire(folder, &words).unwrap();
}

#[test]
fn a_copy_that_broke_off_is_read_as_far_as_it_goes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    for format in FORMATS {
        let whole = format!("whole.{format}");
        acquire(path, &whole);
        let bytes = fs::read(path.join(&whole)).unwrap();
        let manifest = fs::read(manifest_of(&path.join(&whole))).unwrap();
        let cut = format!("cut.{format}");
        fs::write(manifest_of(&path.join(&cut)), &manifest).unwrap();
        let mut last = u64::MAX;
        for sixths in [2, 4, 5] {
            let what = format!("{sixths} sixths of {format}");
            let is_short = |len: usize| {
                if format == "padded" {
                    len * 3 / 4 + sixths * len / 24
                } else {
                    len * sixths / 6
                }
            };
            fs::write(path.join(&cut), &bytes[..is_short(bytes.len()) - 7]).unwrap();

            let (code, said) = run(path, &["info", &cut]);
            assert_eq!(code, 3, "{what}: {said}");
            assert!(
                said.contains("cut off") || said.contains("is missing"),
                "{what}: {said}"
            );
            assert!(!said.contains("hardware"), "{what}: {said}");

            let (code, said) = run(path, &["verify", &cut]);
            assert_eq!(code, 1, "{what}: {said}");
            assert!(said.contains("truncated"), "{what}: {said}");

            let (code, said) = run(path, &["convert", &cut, "new.core", "--force"]);
            assert_eq!(code, 3, "{what}: {said}");
            assert!(said.contains("warning: the image"), "{what}: {said}");
            assert!(
                said.contains("ENOLINK (cut off: the image's file"),
                "{what}: {said}"
            );
            let missing = is_true(&path.join("new.core"), &what);
            // A volume is read segment by segment, and this one has a single one.
            let is_less = missing < last || format == "aff4";
            assert!(missing > 0 && is_less, "{what}: {missing} of {last}");
            last = missing;

            let (code, said) = run(path, &["compare", &cut, &whole]);
            assert_eq!(code, 3, "{what}: {said}");
            assert!(said.contains("from 0x"), "{what}: {said}");

            let (code, said) = run(path, &["compare", &cut, &cut]);
            assert_eq!(code, 3, "{what}: {said}");

            let (code, said) = run(path, &["symbols", &cut]);
            assert_eq!(code, 1, "{what}: {said}");
            assert!(said.contains("no artifacts"), "{what}: {said}");
            assert!(said.contains("warning: the image"), "{what}: {said}");

            let lost = ["extract", &cut, "lost", "--range", "0x6ff000+0x1000"];
            let (code, said) = run(path, &lost);
            assert_eq!(code, 3, "{what}: {said}");
            assert!(said.contains("ENOLINK"), "{what}: {said}");
            assert!(
                fs::read(path.join("lost"))
                    .unwrap()
                    .iter()
                    .all(|&byte| byte == 0)
            );
            fs::remove_file(path.join("lost")).unwrap();
        }
    }
}

/// The manifest's lines up to the chunks that were written, and half of the next line.
#[test]
fn what_a_killed_run_left_is_recovered_in_every_format() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    for format in FORMATS {
        let whole = format!("whole.{format}");
        acquire(path, &whole);
        let bytes = fs::read(path.join(&whole)).unwrap();
        let manifest = fs::read_to_string(manifest_of(&path.join(&whole))).unwrap();
        let partial = format!("k.{format}.partial");
        for (sixths, lines) in [(3, 4), (4, 6), (5, 9)] {
            let what = format!("{sixths} sixths of {format}");
            let beginning: Vec<&str> = manifest.lines().take(lines).collect();
            let beginning = format!("{}\n{{\"chunk\":[", beginning.join("\n"));
            let is_short = |len: usize| {
                if format == "padded" {
                    len * 3 / 4 + sixths * len / 24
                } else {
                    len * sixths / 6
                }
            };
            fs::write(path.join(&partial), &bytes[..is_short(bytes.len()) - 7]).unwrap();
            fs::write(manifest_of(&path.join(&partial)), &beginning).unwrap();

            let (code, said) = run(path, &["info", &partial]);
            assert_eq!(code, 3, "{what}: {said}");
            assert!(said.contains("System RAM"), "{what}: {said}");
            let (code, said) = run(path, &["verify", &partial]);
            assert_eq!(code, 1, "{what}: {said}");
            assert!(said.contains("did not finish"), "{what}: {said}");

            let (code, said) = run(path, &["convert", &partial, "new.core", "--force"]);
            assert_eq!(code, 3, "{what}: {said}");
            is_true(&path.join("new.core"), &what);

            let recovered = format!("k.recovered.{format}");
            let (code, said) = run(path, &["recover", &partial]);
            assert_eq!(code, 3, "{what}: {said}");
            assert!(said.contains(&recovered), "{what}: {said}");
            let (code, said) = run(path, &["verify", &recovered]);
            assert_eq!(code, 0, "{what}: {said}");
            if format != "aff4" {
                // What is missing is still listed in what is made of it.
                let (code, said) = run(path, &["convert", &recovered, "new.core", "--force"]);
                assert_eq!(code, 3, "{what}: {said}");
                is_true(&path.join("new.core"), &what);
            }
            for file in fs::read_dir(path).unwrap() {
                let file = file.unwrap();
                if file
                    .file_name()
                    .to_string_lossy()
                    .starts_with("k.recovered")
                {
                    fs::remove_file(file.path()).unwrap();
                }
            }
        }
    }
}

#[test]
fn a_partial_image_that_is_whole_gets_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    for format in FORMATS {
        let whole = format!("w.{format}");
        let partial = format!("{whole}.partial");
        for has_manifest in [true, false] {
            acquire(path, &whole);
            fs::rename(path.join(&whole), path.join(&partial)).unwrap();
            fs::remove_file(path.join(format!("{whole}.sha256"))).unwrap();
            if !has_manifest {
                let old = manifest_of(&path.join(&whole));
                fs::rename(old, manifest_of(&path.join(&partial))).unwrap();
            }
            let (code, said) = run(path, &["recover", &partial]);
            assert_eq!(code, 0, "{format}: {said}");
            assert!(said.contains("is whole"), "{format}: {said}");
            assert!(!path.join(&partial).exists(), "{format}");
            let (code, said) = run(path, &["verify", &whole]);
            assert_eq!(code, 0, "{format}: {said}");
            let (code, said) = run(path, &["recover", &whole]);
            assert_eq!(code, 1, "{format}: {said}");
            assert!(said.contains("nothing to recover"), "{format}: {said}");
            for file in fs::read_dir(path).unwrap() {
                fs::remove_file(file.unwrap().path()).unwrap();
            }
        }
    }
}

/// Killed between the volume's directory and the rename: the manifest is incomplete.
#[test]
fn a_whole_volume_without_the_end_of_its_manifest_gets_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    acquire(path, "v.aff4");
    let manifest = manifest_of(&path.join("v.aff4"));
    let text = fs::read_to_string(&manifest).unwrap();
    fs::remove_file(&manifest).unwrap();
    fs::rename(path.join("v.aff4"), path.join("v.aff4.partial")).unwrap();
    let working = manifest_of(&path.join("v.aff4.partial"));
    fs::write(&working, &text[..text.len() - 20]).unwrap();
    let (code, said) = run(path, &["recover", "v.aff4.partial"]);
    assert_eq!(code, 0, "{said}");
    let (code, said) = run(path, &["verify", "v.aff4"]);
    assert_eq!(code, 0, "{said}");

    // One that is damaged does not.
    fs::rename(path.join("v.aff4"), path.join("d.aff4.partial")).unwrap();
    let mut bytes = fs::read(path.join("d.aff4.partial")).unwrap();
    bytes[20_000] ^= 1;
    fs::write(path.join("d.aff4.partial"), bytes).unwrap();
    let (code, said) = run(path, &["recover", "d.aff4.partial"]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("damaged"), "{said}");
    // Nor does one whose name is taken.
    acquire(path, "t.aff4");
    fs::copy(path.join("t.aff4"), path.join("t.aff4.partial")).unwrap();
    let (code, said) = run(path, &["recover", "t.aff4.partial"]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("exists already"), "{said}");
}
