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
/// Nothing in the file says that a record is missing. The manifest next to it does.
#[test]
fn a_file_that_was_cut_between_two_records_is_missed_by_its_manifest() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    acquire(path, "a.lime");
    let (first, last) = RANGES[0];
    let image = fs::OpenOptions::new()
        .write(true)
        .open(path.join("a.lime"))
        .unwrap();
    image.set_len(32 + last + 1 - first).unwrap();
    let commands: [&[&str]; 3] = [
        &["info", "a.lime"],
        &["convert", "a.lime", "b.core", "--progress", "none"],
        &["extract", "a.lime", "part", "--range", "0x500000-0x5fffff"],
    ];
    for words in commands {
        let (code, said) = run(path, words);
        assert_eq!(code, 3, "{words:?}: {said}");
        let lost = ["is missing", "ENOLINK", "was cut off"];
        assert!(lost.iter().any(|word| said.contains(word)), "{said}");
    }
    let (first, last) = RANGES[1];
    // Two of its pages could not be read in the first place.
    let expected = last + 1 - first - 2 * PAGE_SIZE.get();
    assert_eq!(is_true(&path.join("b.core"), "b.core"), expected);
    // Without the manifest, it is a whole image of less memory.
    fs::remove_file(manifest_of(&path.join("a.lime"))).unwrap();
    assert_eq!(run(path, &["info", "a.lime"]).0, 0);
}

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
            // What is left of the image may lack more than the manifest does.
            let is_lacking = said.contains("is missing: the file ends");
            assert_eq!(code, if is_lacking { 1 } else { 3 }, "{what}: {said}");
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

/// The run was killed, or a disk had no room for all of the manifest: its lines hold as far as
/// they go.
#[test]
fn a_manifest_that_ends_early_is_verified_as_far_as_it_goes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    for format in FORMATS {
        let image = format!("m.{format}");
        acquire(path, &image);
        let file = manifest_of(&path.join(&image));
        let text = fs::read_to_string(&file).unwrap();
        let bytes = fs::read(path.join(&image)).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let is_chunk = |line: &&str| line.contains("chunk\"") || line.contains("zero_chunks");
        for kept in [1, 3, lines.len() / 2, lines.len() - 1] {
            let what = format!("{kept} lines of {format}");
            // With half of the next line, and as a power cut leaves it.
            let half = &lines[kept][..lines[kept].len() / 2];
            let early = format!("{}\n{half}", lines[..kept].join("\n"));
            let zeros = "\0".repeat(5000);
            let variants = match kept {
                3 => vec![early.clone(), early + &zeros],
                _ => vec![early],
            };
            for early in variants {
                fs::write(&file, &early).unwrap();
                let (code, said) = run(path, &["verify", &image]);
                if format == "aff4" {
                    // It has another one inside, which is whole.
                    assert_eq!(code, 0, "{what}: {said}");
                    assert!(!said.contains("ends early"), "{what}: {said}");
                    continue;
                }
                assert_eq!(code, 3, "{what}: {said}");
                let place = format!("the manifest ends early, after line {kept}");
                assert!(said.contains(&place), "{what}: {said}");
                assert!(said.contains("NOT VERIFIED TO THE END"), "{what}: {said}");
                assert!(said.contains("could not be verified"), "{what}: {said}");
            }
        }
        // What it lists is compared: a byte of the last range that has changed is seen, once
        // its chunks are listed, and not before.
        let mut other = bytes.clone();
        let at = other.len() - 0x1_8000;
        other[at..at + 0x4000]
            .iter_mut()
            .for_each(|byte| *byte ^= 0x55);
        fs::write(path.join(&image), &other).unwrap();
        let chunks = lines.iter().filter(|line| is_chunk(line)).count();
        let mut codes = Vec::new();
        for kept in [2, lines.len() - 1] {
            fs::write(&file, lines[..kept].join("\n") + "\n").unwrap();
            let (code, said) = run(path, &["verify", &image, "--json", "--progress=none"]);
            let json: serde_json::Value = serde_json::from_str(&said).unwrap_or_default();
            let listed = &json["comparison"]["chunks"];
            if format != "aff4" && kept > 2 {
                assert!(
                    listed.as_u64().unwrap() >= u64::try_from(chunks).unwrap(),
                    "{format}: {said}"
                );
            }
            assert_eq!(json["good"], false, "{format}: {said}");
            codes.push(code);
        }
        let expected = if format == "aff4" { [1, 1] } else { [3, 1] };
        assert_eq!(codes, expected, "{format}");
        // A line that is damaged is another matter than one that is missing.
        fs::write(path.join(&image), &bytes).unwrap();
        let damaged = text.replacen("{\"range_end\"", "{\"range_bend\"", 1);
        fs::write(&file, damaged).unwrap();
        let (code, said) = run(path, &["verify", &image]);
        assert_eq!(code, 1, "{format}: {said}");
    }
}

/// Types of a kernel that has one type.
pub fn small_btf() -> Vec<u8> {
    let types = [1_u32, 1 << 24, 4, 32];
    let strings = b"\0int\0";
    let mut btf = vec![0x9f, 0xeb, 1, 0];
    for field in [24_u32, 0, 16, 16, 5] {
        btf.extend(field.to_le_bytes());
    }
    btf.extend(types.iter().flat_map(|field| field.to_le_bytes()));
    btf.extend(strings);
    btf
}

pub const SYSTEM_MAP: &str = "\
ffffffff81000000 T _text
ffffffff82000000 R linux_banner
ffffffff83000000 D init_task
ffffffff83100000 D init_files
ffffffff83200000 D init_mm
ffffffff83300000 D modules
ffffffff83400000 D tk_core
ffffffff83500000 D taint_flags
ffffffff83500100 D after
";

#[test]
fn a_symbol_file_from_half_an_image_says_that_it_is_half() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    fs::write(path.join("System.map"), SYSTEM_MAP).unwrap();
    let btf = small_btf();
    let files = [
        ("sys/kernel/btf/vmlinux".to_owned(), &btf[..]),
        ("proc/version".to_owned(), b"Linux version 6.1\n"),
    ];
    let artifacts = crate::hostile_files::archive(0, &files);
    for format in ["core", "lime", "kdump", "avml", "core.zst", "lime.lz4"] {
        let whole = format!("whole.{format}");
        acquire(path, &whole);
        let bytes = fs::read(path.join(&whole)).unwrap();
        // Its manifest says that it has no artifacts.
        let image = format!("s.{format}");
        fs::write(path.join(format!("{image}.artifacts.tar.zst")), &artifacts).unwrap();
        let words = ["symbols", &image, "--system-map", "System.map", "--force"];
        for (len, expected) in [(bytes.len(), 0), (bytes.len() * 4 / 6, 3)] {
            fs::write(path.join(&image), &bytes[..len]).unwrap();
            let (code, said) = run(path, &words);
            assert_eq!(code, expected, "{format}: {said}");
            let is_told = said.contains("warning: the image is cut off");
            assert_eq!(is_told, expected == 3, "{format}: {said}");
            assert!(path.join(format!("{image}.isf.json.xz")).exists(), "{said}");
        }
    }
    // A raw image is cut off where its ranges are not.
    let (first, last) = RANGES[1];
    fs::write(path.join("r.mem"), vec![1; 0x1000]).unwrap();
    fs::write(path.join("list"), format!("{first:#x}-{last:#x}\n")).unwrap();
    fs::write(path.join("r.mem.artifacts.tar.zst"), &artifacts).unwrap();
    let words = ["symbols", "r.mem", "--system-map", "System.map"];
    let raw = ["--input-layout=concatenated", "--input-ranges=list"];
    let (code, said) = run(path, &[&words[..], &raw].concat());
    assert_eq!(code, 3, "{said}");
}
