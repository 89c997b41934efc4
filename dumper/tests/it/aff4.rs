// SPDX-License-Identifier: MIT OR Apache-2.0
//! AFF4 images, from the command line to the file and back.

use crate::fake::{Fake, manifest_of, page, range, verify};
use assert_cmd::Command;
use clap::Parser;
use linpmem_cli::Document;
use linpmem_dump::args::{Cli, Command as Chosen};
use linpmem_dump::commands::verify::image_hashes;
use linpmem_formats::{FileSource, ImageReader, aff4, open_image};
use linpmem_phys::{Errno, PhysAddr, PhysRange, ReadPhys, Unreadables};
use predicates::str::contains;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

fn dump(folder: &Path) -> Command {
    let mut command = Command::cargo_bin("linpmem-dump").unwrap();
    command.current_dir(folder);
    command
}

fn opened(path: &Path) -> aff4::Reader {
    aff4::Reader::open(vec![Arc::new(FileSource::open(path).unwrap())]).unwrap()
}

/// Without the memory above 4 GiB: the hole below it is hashed too.
const LOW: [&str; 2] = ["--range", "0-0x8fffff"];

fn refusing() -> Fake {
    Fake {
        refused: vec![
            (range(0x2000, 0x2fff), Errno::EIO),
            // Across the boundary of two chunks.
            (range(0x1f_e000, 0x20_1fff), Errno::new(133)),
            // The last page of a range.
            (range(0x7f_f000, 0x7f_ffff), Errno::EIO),
        ],
        ..Fake::default()
    }
}

fn low(name: &str, folder: &Path) {
    let words = [&[name][..], &LOW].concat();
    Fake::default().acquire(folder, &words).unwrap();
}

/// Ranges with their kinds, every byte, and what could not be read.
type Memory = (Vec<(PhysRange, String)>, Vec<u8>, Vec<(u64, u64)>);

fn memory(image: &Path) -> Memory {
    let image = open_image(image).unwrap();
    let mut ranges: Vec<(PhysRange, String)> = Vec::new();
    let mut bytes = Vec::new();
    let mut unreadable = Unreadables::new();
    for stored in image.ranges() {
        let kind = stored.kind.map_or("?", |kind| kind.name()).to_owned();
        match ranges.last_mut() {
            Some((last, known)) if last.end() == stored.range.start() && *known == kind => {
                *last = PhysRange::new(last.start(), stored.range.end()).unwrap();
            }
            _ => ranges.push((stored.range, kind)),
        }
        let from = bytes.len();
        bytes.resize(from + usize::try_from(stored.range.len().get()).unwrap(), 1);
        image
            .read_phys(stored.range.start(), &mut bytes[from..], &mut unreadable)
            .unwrap();
    }
    let mut listed: Vec<(u64, u64)> = Vec::new();
    for item in unreadable.as_slice() {
        let (start, end) = (item.range.start().get(), item.range.end().get());
        match listed.last_mut() {
            Some(last) if last.1 == start => last.1 = end,
            _ => listed.push((start, end)),
        }
    }
    (ranges, bytes, listed)
}

#[test]
fn every_compression_holds_the_memory_its_kinds_and_its_gaps() {
    let folder = tempfile::tempdir().unwrap();
    for compression in ["snappy", "lz4", "zlib", "none"] {
        let name = format!("{compression}.aff4");
        let words = [&name, "--compress", compression, "--include-reserved"];
        let words = [&words[..], &LOW].concat();
        let summary = refusing().acquire(folder.path(), &words).unwrap();
        assert_eq!(summary.exit_status().code(), 3);
        let said = summary.to_string();
        assert!(
            said.contains("unreadable: 6 pages, marked in the image"),
            "{said}"
        );
        assert!(!said.contains("before compression"), "{said}");
        let manifest = manifest_of(&summary);
        assert_eq!(manifest.header.image.compression, compression);
        assert!(
            manifest
                .ranges
                .iter()
                .all(|range| range.record.file_offset.is_none())
        );

        let path = folder.path().join(&name);
        let (code, said) = verify(&path);
        assert_eq!(code, 0, "{said}");
        assert!(said.contains("good: "), "{said}");
        let (ranges, bytes, unreadable) = memory(&path);
        let mut expected = Vec::new();
        for (range, _) in &ranges {
            for start in (range.start().get()..range.end().get()).step_by(4096) {
                let is_refused = refusing()
                    .refused
                    .iter()
                    .any(|(refused, _)| refused.contains(PhysAddr::new(start)));
                expected.extend(if is_refused { [0; 4096] } else { page(start) });
            }
        }
        assert!(bytes == expected, "{compression}");
        let refused = refusing().refused.into_iter();
        let refused: Vec<_> = refused
            .map(|(range, _)| (range.start().get(), range.end().get()))
            .collect();
        assert_eq!(unreadable, refused);
        assert!(ranges.iter().any(|(_, kind)| kind == "Reserved"));
    }
}

#[test]
fn an_image_of_nothing_but_zeros_keeps_its_own_hashes() {
    let folder = tempfile::tempdir().unwrap();
    let words = ["a.aff4", "--range", "0x101000-0x102fff"];
    Fake::default().acquire(folder.path(), &words).unwrap();
    let path = folder.path().join("a.aff4");
    let (_, bytes, unreadable) = memory(&path);
    assert!(bytes.len() == 0x2000 && bytes.iter().all(|&byte| byte == 0));
    assert!(unreadable.is_empty());
    let (code, words) = verify(&path);
    assert_eq!(code, 0, "{words}");
    assert!(words.contains("0 do not"), "{words}");
}

#[test]
fn conversions_keep_content_ranges_and_unreadable_pages() {
    let folder = tempfile::tempdir().unwrap();
    refusing()
        .acquire(
            folder.path(),
            &["first.aff4", "--include-reserved", "--range", "0-0x8fffff"],
        )
        .unwrap();
    let again = |source: &str, output: &str| {
        let source = format!("file:{source}");
        dump(folder.path())
            .args(["--include-reserved", "--source", &source, output])
            .assert()
            .code(3);
        let (code, said) = verify(&folder.path().join(output));
        assert_eq!(code, 0, "{output}: {said}");
    };
    again("first.aff4", "a.raw");
    again("a.raw", "raw.aff4");
    again("first.aff4", "b.core");
    again("b.core", "elf.aff4");
    let first = memory(&folder.path().join("first.aff4"));
    for name in ["raw.aff4", "elf.aff4"] {
        let other = memory(&folder.path().join(name));
        assert_eq!(first.0, other.0, "{name}");
        assert!(first.1 == other.1, "{name}");
        assert_eq!(first.2, other.2, "{name}");
        let (one, other) = (
            opened(&folder.path().join("first.aff4")),
            opened(&folder.path().join(name)),
        );
        assert_eq!(one.machine(), other.machine(), "{name}");
    }
}

#[test]
fn a_pipe_gets_the_same_kind_of_volume() {
    let folder = tempfile::tempdir().unwrap();
    low("a.raw", folder.path());
    let run = dump(folder.path())
        .args(["--source", "file:a.raw", "--format", "aff4"])
        .args(["-", "--manifest", "m.json"])
        .assert()
        .success();
    let path = folder.path().join("piped.aff4");
    fs::write(&path, &run.get_output().stdout).unwrap();
    dump(folder.path())
        .args(["verify", "piped.aff4", "--manifest", "m.json"])
        .assert()
        .success()
        .stdout(contains("good: "));
    low("b.aff4", folder.path());
    assert!(memory(&path) == memory(&folder.path().join("b.aff4")));
}

#[test]
fn files_are_stored_with_the_memory_and_listed() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("etc")).unwrap();
    for (name, content) in [("one.conf", "1"), ("two.conf", "22"), ("three.txt", "333")] {
        fs::write(folder.path().join("etc").join(name), content).unwrap();
    }
    low("a.raw", folder.path());
    dump(folder.path())
        .args(["--source", "file:a.raw", "a.aff4", "--bundle"])
        .args(["--add", "etc/*.conf", "--add", "etc/one.conf"])
        .args([
            "--case-name",
            "a \"case\"",
            "--examiner",
            "E. Xaminer",
            "--notes",
            "two\nlines",
        ])
        .args(["--hash", "md5", "--hash", "blake2b"])
        .assert()
        .success();
    let run = dump(folder.path())
        .args(["ls", "a.aff4"])
        .assert()
        .success()
        .stdout(contains("etc/one.conf"))
        .stdout(contains("etc/two.conf"))
        .stdout(contains("manifest.jsonl"));
    let said = String::from_utf8(run.get_output().stdout.clone()).unwrap();
    assert_eq!(said.matches("one.conf").count(), 1, "{said}");
    assert!(!said.contains("three"), "{said}");
    let image = opened(&folder.path().join("a.aff4"));
    let files = image.files();
    let two = files.iter().find(|file| file.path.ends_with("two.conf"));
    assert_eq!(image.file(&two.unwrap().urn).unwrap(), b"22");
    dump(folder.path())
        .args(["info", "a.aff4"])
        .assert()
        .success()
        .stdout(contains("a \"case\""))
        .stdout(contains("E. Xaminer"));
    dump(folder.path())
        .args(["verify", "a.aff4"])
        .assert()
        .success()
        .stdout(contains("linear        md5"))
        .stdout(contains("linear        blake2b"))
        .stdout(contains("file          sha256"));
}

/// One thread would have to compute it, in the time of everything else together.
#[test]
fn the_hash_over_all_addresses_is_there_on_request_only() {
    let folder = tempfile::tempdir().unwrap();
    for (options, is_there) in [
        (&["a.aff4"][..], false),
        (&["b.aff4", "--linear-hash"], true),
    ] {
        let words = [options, &["--range", "0-0x8fffff"]].concat();
        Fake::default().acquire(folder.path(), &words).unwrap();
        let run = dump(folder.path())
            .args(["verify", options[0]])
            .assert()
            .success();
        let said = String::from_utf8(run.get_output().stdout.clone()).unwrap();
        assert_eq!(said.contains("linear        sha256"), is_there, "{said}");
        assert!(said.contains("chunks        sha256"), "{said}");
        assert!(said.contains("image "), "{said}");
    }
}

#[test]
fn impossible_options_are_refused_with_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    low("a.raw", folder.path());
    for (words, hint) in [
        (
            &["b.aff4", "--compress", "zstd"][..],
            "AFF4 does not define zstd",
        ),
        (&["b.aff4.zst"], "compresses internally"),
        (&["b.core", "--case-name", "x"], "--format aff4"),
        (&["b.core", "--compress", "zlib"], "zlib"),
        (&["b.aff4", "--raw-layout", "padded"], "raw"),
    ] {
        dump(folder.path())
            .args(["--source", "file:a.raw"])
            .args(words)
            .assert()
            .code(2)
            .stderr(contains(hint));
    }
    for (words, hint) in [
        (&["b.aff4", "--add", "none/*"][..], "none/*"),
        (&["b.aff4", "--add", "*.none"], "no file matches"),
        (&["b.aff4", "--add", "none"], "No such file"),
        (&["b.aff4", "--add", "/dev/zero"], "not a regular file"),
    ] {
        dump(folder.path())
            .args(["--source", "file:a.raw"])
            .args(words)
            .assert()
            .code(1)
            .stderr(contains(hint));
    }
    assert!(!folder.path().join("b.aff4").exists());
    assert!(!folder.path().join("b.aff4.partial").exists());
}

fn flip(path: &Path, offset: u64) {
    let file = OpenOptions::new().read(true).write(true).open(path);
    let file = file.unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).unwrap();
    file.write_all_at(&[byte[0] ^ 0x10], offset).unwrap();
}

/// Where the content of the member whose name ends in `ending` begins.
fn content_of(path: &Path, ending: &str) -> u64 {
    let bytes = fs::read(path).unwrap();
    for (at, _) in bytes
        .windows(4)
        .enumerate()
        .filter(|(_, w)| w == b"PK\x03\x04")
    {
        let half = |from: usize| usize::from(u16::from_le_bytes([bytes[from], bytes[from + 1]]));
        let (name, extra) = (half(at + 26), half(at + 28));
        if bytes[at + 30..at + 30 + name].ends_with(ending.as_bytes()) {
            return u64::try_from(at + 30 + name + extra).unwrap();
        }
    }
    panic!("no {ending}");
}

#[test]
fn verify_says_which_level_failed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.aff4");
    let words = [
        "a.aff4",
        "--compress",
        "none",
        "--range",
        "0-0x8fffff",
        "--linear-hash",
    ];
    Fake::default().acquire(folder.path(), &words).unwrap();
    // A chunk, its hash, its index, the map, and the map's list of streams.
    for (ending, offset, levels) in [
        (
            "/00000000",
            100,
            &["member ", "chunks ", "linear ", "chunk 0 "][..],
        ),
        (
            "/00000000.blockHash.sha256",
            3,
            &["member ", "chunks ", "chunk hashes "],
        ),
        ("/00000000.index", 8, &["member ", "indexes "]),
        ("/map", 40, &["member ", "map ", "block map ", "image "]),
        ("container.description", 10, &["member "]),
    ] {
        let offset = content_of(&path, ending) + offset;
        flip(&path, offset);
        let cli = Cli::parse_from(["linpmem-dump", "verify", path.to_str().unwrap()]);
        let Some(Chosen::Verify(args)) = cli.command else {
            panic!("not a verification");
        };
        match linpmem_dump::commands::verify::verify(&args) {
            Ok(document) => {
                assert!(!document.good, "{ending}");
                let mut said = Vec::new();
                document.write_text(&mut said).unwrap();
                let said = String::from_utf8(said).unwrap();
                for level in levels {
                    let is_told = said
                        .lines()
                        .any(|line| line.contains(level) && !line.ends_with(": ok"));
                    assert!(is_told, "{ending}: no {level} in {said}");
                }
                assert!(said.contains("the file differs: SHA-256"), "{said}");
            }
            // A volume without its own name.
            Err(error) => assert_eq!(ending, "container.description", "{error}"),
        }
        flip(&path, offset);
    }
    assert_eq!(verify(&path).0, 0);
    // With another manifest, it is another image.
    let mut other = refusing();
    other.refused.truncate(1);
    let words = ["b.aff4", "--range", "0-0x8fffff"];
    other.acquire(folder.path(), &words).unwrap();
    fs::copy(
        folder.path().join("b.aff4.manifest.jsonl"),
        folder.path().join("a.aff4.manifest.jsonl"),
    )
    .unwrap();
    let (code, said) = verify(&path);
    assert_eq!(code, 1);
    assert!(said.contains("0 do not"), "{said}");
    assert!(said.contains("chunk 0 (0x1000-0x9ffff) differs"), "{said}");
}

#[test]
fn an_interrupted_run_is_recovered() {
    let folder = tempfile::tempdir().unwrap();
    // More than a segment of bytes that do not compress.
    let mut noise = vec![0_u8; 150 << 20];
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for word in noise.chunks_exact_mut(8) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        word.copy_from_slice(&state.to_le_bytes());
    }
    fs::write(folder.path().join("a.padded"), &noise).unwrap();
    let mut recovered = 0;
    // The least length of the file when the process is killed.
    for (number, target) in [4096, 30 << 20, 70 << 20, 129 << 20]
        .into_iter()
        .enumerate()
    {
        let name = format!("{number}.aff4");
        let mut child = std::process::Command::new(assert_cmd::cargo::cargo_bin("linpmem-dump"))
            .current_dir(folder.path())
            .args(["--source", "file:a.padded", "--progress=none", &name])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let growing = folder.path().join(format!("{name}.partial"));
        while growing.metadata().map_or(0, |file| file.len()) < target
            && child.try_wait().unwrap().is_none()
        {
            std::thread::sleep(Duration::from_millis(1));
        }
        let _ = child.kill();
        child.wait().unwrap();
        let partial = folder.path().join(format!("{name}.partial"));
        if !partial.exists() {
            // The run ended first.
            continue;
        }
        let run = dump(folder.path()).arg("recover").arg(&partial).assert();
        let output = run.get_output();
        let target = folder.path().join(format!("{number}.recovered.aff4"));
        if output.status.code() == Some(1) {
            assert!(!target.exists());
            assert!(partial.metadata().unwrap().len() < 200);
            continue;
        }
        let said = String::from_utf8(output.stdout.clone()).unwrap();
        assert!(said.contains("members"), "{said}");
        let image = opened(&target);
        let (is_good, said) = verify_alone(&target);
        assert!(is_good, "{said}");
        for stored in image.ranges() {
            if stored.content != linpmem_phys::Content::Data {
                continue;
            }
            let from = usize::try_from(stored.range.start().get()).unwrap();
            let len = usize::try_from(stored.range.len().get()).unwrap();
            let mut bytes = vec![0; len];
            let mut unreadable = Unreadables::new();
            image
                .read_phys(stored.range.start(), &mut bytes, &mut unreadable)
                .unwrap();
            assert!(unreadable.is_empty());
            assert!(bytes == noise[from..from + len], "{name}");
            recovered += len;
        }
        fs::remove_file(partial).unwrap();
        fs::remove_file(target).unwrap();
    }
    println!("{} MiB recovered", recovered >> 20);
    assert!(recovered > 0, "nothing was ever recovered");
}

fn verify_alone(path: &Path) -> (bool, String) {
    let hashes = image_hashes(&opened(path)).unwrap();
    let mut out = Vec::new();
    hashes.write_text(&mut out).unwrap();
    (hashes.is_good(), String::from_utf8(out).unwrap())
}
