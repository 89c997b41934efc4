// SPDX-License-Identifier: MIT OR Apache-2.0
//! What `verify` says about images that were tampered with.

use crate::fake::{Fake, chunks_of, manifest_of, verify, verify_as};
use linpmem_dump::args::{ProgressStyle, ReadingArgs, TrustArgs, VerifyArgs};
use linpmem_manifest::{ChunkContent, ListedChunk, Manifest};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

struct Sample {
    _folder: tempfile::TempDir,
    image: PathBuf,
    manifest: Manifest,
    chunks: Vec<ListedChunk>,
}

fn sample(name: &str) -> Sample {
    let folder = tempfile::tempdir().unwrap();
    let summary = Fake::default().acquire(folder.path(), &[name]).unwrap();
    let image = folder.path().join(name);
    assert_eq!(verify(&image).0, 0);
    Sample {
        image,
        manifest: manifest_of(&summary),
        chunks: chunks_of(&summary),
        _folder: folder,
    }
}

fn flip(image: &Path, offset: u64) {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(image)
        .unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).unwrap();
    file.write_all_at(&[byte[0] ^ 0x10], offset).unwrap();
}

fn verify_args(image: &Path) -> VerifyArgs {
    VerifyArgs {
        image: image.to_path_buf(),
        ca: None,
        manifest: None,
        reading: ReadingArgs::default(),
        full: false,
        trust: TrustArgs::default(),
        threads: None,
        progress: ProgressStyle::None,
        json: false,
    }
}

/// Whether `verify` finds the damage, or fails because the image no longer opens.
fn is_found(image: &Path) -> bool {
    let args = verify_args(image);
    !matches!(linpmem_dump::commands::verify::verify(&args), Ok(document) if document.good)
}

#[test]
fn a_flipped_byte_is_found_by_range_chunk_address_and_offset() {
    let sample = sample("a.core");
    let range = &sample.manifest.ranges[1];
    let offset = range.record.file_offset.unwrap() + 0x21_2345;
    flip(&sample.image, offset);
    let (code, words) = verify(&sample.image);
    assert_eq!(code, 1);
    let chunk = format!(
        "range 1 (System RAM 0x100000-0x7fffff), chunk 2 (0x300000-0x3fffff, file offset {:#x}) differs",
        range.record.file_offset.unwrap() + 0x20_0000
    );
    assert!(words.contains(&chunk), "{words}");
    assert!(words.contains("range 1 (System RAM 0x100000-0x7fffff) differs in 1 of 7 chunks"));
    assert!(words.contains("NOT GOOD"));
    assert!(!words.contains("range 0"), "{words}");
    assert_eq!(words.lines().count(), 3, "{words}");
    flip(&sample.image, offset);
    assert_eq!(verify(&sample.image).0, 0);
}

#[test]
fn a_byte_in_a_hole_counts_as_well() {
    let sample = sample("a.core");
    let mut chunks = sample.chunks.iter();
    let zero = chunks.find(|listed| listed.chunk.content == ChunkContent::Zero);
    let listed = zero.unwrap();
    let start = listed.chunk.addresses.start();
    let range = &sample.manifest.ranges[usize::try_from(listed.range).unwrap()];
    let within = start.checked_sub(range.addresses.start()).unwrap().get();
    flip(
        &sample.image,
        range.record.file_offset.unwrap() + within + 77,
    );
    let (code, words) = verify(&sample.image);
    assert_eq!(code, 1);
    assert!(words.contains(&format!("({start}-")), "{words}");
}

#[test]
fn a_zeroed_chunk_is_found_even_as_a_hole() {
    let sample = sample("a.core");
    let range = &sample.manifest.ranges[2];
    let bytes = fs::read(&sample.image).unwrap();
    let offset = range.record.file_offset.unwrap() + 0x20_0000;
    let from = usize::try_from(offset).unwrap();
    let mut file = fs::File::create(&sample.image).unwrap();
    file.write_all(&bytes[..from]).unwrap();
    file.set_len(offset + 0x10_0000).unwrap();
    file.write_all_at(&bytes[from + 0x10_0000..], offset + 0x10_0000)
        .unwrap();
    let (code, words) = verify(&sample.image);
    assert_eq!(code, 1);
    assert!(
        words.contains("chunk 2 (0x100200000-0x1002fffff"),
        "{words}"
    );
    assert_eq!(words.lines().count(), 3, "{words}");
}

#[test]
fn headers_belong_to_the_image() {
    let sample = sample("a.core");
    flip(&sample.image, 40);
    let (code, words) = verify(&sample.image);
    assert_eq!(code, 1);
    assert!(words.contains("outside of all ranges"), "{words}");
    assert_eq!(words.lines().count(), 2, "{words}");
}

/// Wherever a bit flips: in headers, memory, notes, padding, frames, seek tables.
#[test]
fn no_byte_is_passed_over() {
    for name in [
        "a.core",
        "a.lime",
        "a.padded",
        "a.core.zst",
        "a.core.lz4",
        "a.lime.sz",
        "a.aff4",
        "a.kdump",
        "a.avml",
    ] {
        let folder = tempfile::tempdir().unwrap();
        let words = [
            name,
            "--range",
            "0x130000-0x130fff",
            "--range",
            "0x140000-0x15ffff",
        ];
        Fake::default().acquire(folder.path(), &words).unwrap();
        let image = folder.path().join(name);
        let (code, words) = verify(&image);
        assert_eq!(code, 0, "{name}: {words}");
        let length = fs::metadata(&image).unwrap().len();
        let steps = (length / 100).max(1);
        let ends = (0..64).chain(length - 64..length);
        for offset in (0..length)
            .step_by(usize::try_from(steps).unwrap())
            .chain(ends)
        {
            flip(&image, offset);
            let found = is_found(&image);
            assert!(found, "{name}: byte {offset} of {length}");
            flip(&image, offset);
        }
        let (code, words) = verify(&image);
        assert_eq!(code, 0, "{name}: {words}");
    }
}

#[test]
fn further_hashes_are_those_of_the_programs_that_make_them() {
    let folder = tempfile::tempdir().unwrap();
    let words = [
        "a.lime",
        "--hash",
        "md5,sha1,sha512",
        "--hash",
        "blake2b,blake3,md5",
    ];
    let summary = Fake::default().acquire(folder.path(), &words).unwrap();
    let image = folder.path().join("a.lime");
    let hashes = manifest_of(&summary).footer.file.hashes;
    assert_eq!(hashes.len(), 5);
    for (record, program) in hashes
        .iter()
        .zip(["md5sum", "sha1sum", "sha512sum", "b2sum"])
    {
        let output = Command::new(program).arg(&image).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(said.starts_with(&record.digest), "{program}: {said}");
    }
    let full = |image: &Path| {
        let mut args = verify_args(image);
        args.full = true;
        verify_as(&args)
    };
    assert_eq!(full(&image).0, 0);
    flip(&image, 0x30_0000);
    let (code, words) = full(&image);
    assert_eq!(code, 1);
    for hash in ["md5", "sha1", "sha512", "blake2b", "blake3"] {
        assert!(
            words.contains(&format!("the file differs: {hash} ")),
            "{words}"
        );
    }
}

#[test]
fn without_the_file_s_own_sum_every_byte_is_compared_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let words = ["a.core", "--no-file-hash"];
    let summary = Fake::default().acquire(folder.path(), &words).unwrap();
    let image = folder.path().join("a.core");
    assert_eq!(manifest_of(&summary).footer.file.sha256, None);
    assert!(!folder.path().join("a.core.sha256").exists());
    let (code, words) = verify(&image);
    assert_eq!(code, 0);
    assert!(words.contains("every byte"), "{words}");
    flip(&image, 50);
    assert_eq!(verify(&image).0, 1);

    // For a compressed one it says what is not covered.
    let words = ["a.lime.lz4", "--no-file-hash"];
    Fake::default().acquire(folder.path(), &words).unwrap();
    let (code, words) = verify(&folder.path().join("a.lime.lz4"));
    assert_eq!(code, 0);
    assert!(words.contains("only memory was compared"), "{words}");
}

#[test]
fn one_byte_less_and_one_byte_more() {
    let sample = sample("a.core");
    let length = sample.manifest.footer.file.length;
    let file = OpenOptions::new().append(true).open(&sample.image).unwrap();
    file.set_len(length - 1).unwrap();
    let (code, words) = verify(&sample.image);
    assert_eq!(code, 1);
    let truncated = format!("truncated: the last 1 of {length} bytes are missing");
    assert!(words.contains(&truncated), "{words}");
    assert!(
        words.contains("range 2 (System RAM 0x100000000-0x100ffefff), chunk 15 (0x100f00000-"),
        "{words}"
    );
    assert!(words.contains("is missing: the file ends"), "{words}");

    file.set_len(length).unwrap();
    // The byte that was cut off comes back as zero, which it may not have been.
    (&file).write_all(b"!").unwrap();
    let (code, words) = verify(&sample.image);
    assert_eq!(code, 1);
    assert!(words.contains("1 bytes were appended"), "{words}");

    file.set_len(0).unwrap();
    let (code, words) = verify(&sample.image);
    assert_eq!(code, 1);
    assert!(words.contains("range 0"), "{words}");
    assert!(words.contains("more chunks"), "{words}");
}

#[test]
fn compressed_images_are_compared_by_what_they_hold() {
    let sample = sample("a.core.zst");
    let mut chunks = sample.chunks.iter();
    let third = chunks.find(|listed| (listed.range, listed.number) == (1, 3));
    let frame = third.unwrap().chunk.frame.unwrap();
    flip(&sample.image, frame.offset + frame.length / 2);
    let (code, words) = verify(&sample.image);
    assert_eq!(code, 1);
    assert!(words.contains("chunk 3 (0x400000-0x4fffff"), "{words}");
    assert!(words.contains("the file differs"), "{words}");
    assert!(!words.contains("range 0"), "{words}");

    // The seek table is part of the file.
    flip(&sample.image, frame.offset + frame.length / 2);
    flip(&sample.image, sample.manifest.footer.file.length - 20);
    let (code, words) = verify(&sample.image);
    assert_eq!(code, 1);
    assert!(words.contains("outside of all ranges"), "{words}");
}

/// What `linpmem-dump verify` prints about an image that is not good.
fn refusal(image: &Path) -> (String, String) {
    let run = assert_cmd::Command::cargo_bin("linpmem-dump")
        .unwrap()
        .arg("verify")
        .arg(image)
        .assert()
        .code(1);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let output = run.get_output();
    (text(&output.stdout), text(&output.stderr))
}

#[test]
fn a_manifest_that_was_tampered_with_is_an_error_and_no_crash() {
    let sample = sample("a.core");
    let path = linpmem_manifest::paths::manifest_of(&sample.image);
    let text = fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let of = |name: &str| {
        let begin = format!("{{\"{name}\":");
        let mut lines = lines.iter().enumerate();
        let found = lines.find(|(_, line)| line.starts_with(&begin));
        let (number, line) = found.unwrap_or_else(|| panic!("no {name}"));
        (number + 1, *line)
    };
    let moved = |from: usize, to: usize| {
        let mut moved = lines.clone();
        let line = moved.remove(from - 1);
        moved.insert(to - 1, line);
        moved.join("\n") + "\n"
    };
    let replaced = |from: &str, to: &str| text.replacen(from, to, 1);
    let (_, chunk) = of("chunk");
    let (zeros_number, _) = of("zero_chunks");
    let (end_number, _) = of("range_end");
    let second_range = lines
        .iter()
        .position(|line| line.contains("{\"index\":1"))
        .unwrap()
        + 1;
    for (damaged, line) in [
        (
            replaced("\"chunk_bytes\":1048576", "\"chunk_bytes\":4096"),
            Some(end_number),
        ),
        (
            replaced("\"chunk_bytes\":1048576", "\"chunk_bytes\":0"),
            Some(1),
        ),
        (
            replaced("\"chunk_bytes\":1048576", "\"chunk_bytes\":1048577"),
            Some(1),
        ),
        (
            replaced("\"chunk_bytes\":1048576", "\"chunk_bytes\":8388608"),
            None,
        ),
        (
            replaced(
                "\"chunk_bytes\":1048576",
                "\"chunk_bytes\":18446744073709547520",
            ),
            None,
        ),
        (
            replaced(
                "\"file_offset\":4096",
                "\"file_offset\":18446744073709551615",
            ),
            // After the header and the range: its first chunk.
            Some(3),
        ),
        (
            replaced("\"file_offset\":4096", "\"file_offset\":4097"),
            None,
        ),
        (
            replaced(
                "\"index\":0,\"start\":\"0x1000\"",
                "\"index\":0,\"start\":\"0x2000\"",
            ),
            None,
        ),
        (replaced("\"index\":1,", "\"index\":2,"), Some(second_range)),
        (
            replaced(
                "\"index\":1,\"start\":\"0x100000\"",
                "\"index\":1,\"start\":\"0x1000\"",
            ),
            None,
        ),
        (
            replaced("\"state\":\"complete\"", "\"state\":\"perfect\""),
            Some(lines.len()),
        ),
        (replaced("\"index\":0", "\"index\":0,\"sha1\":1"), None),
        (
            replaced("\"written_bytes\":", "\"written_bytes\":1"),
            Some(end_number),
        ),
        (replaced("\"planned_bytes\":", "\"planned_bytes\":1"), None),
        (replaced("\"count\":", "\"count\":9"), None),
        (
            replaced("\"count\":", "\"count\":0,\"count\":"),
            Some(zeros_number),
        ),
        (
            replaced("\"unreadable_pages\":0", "\"unreadable_pages\":1"),
            Some(end_number),
        ),
        // A missing chunk, an extra chunk, and chunks in another order.
        (replaced(&format!("{chunk}\n"), ""), None),
        (replaced(chunk, &format!("{chunk}\n{chunk}")), None),
        (moved(zeros_number, zeros_number - 1), None),
        (moved(end_number, end_number + 1), None),
        (moved(1, 2), Some(1)),
        (moved(lines.len(), lines.len() - 1), None),
        (format!("{text}{chunk}\n"), Some(lines.len() + 1)),
        (format!("{text}\n"), Some(lines.len() + 1)),
        (format!("{text}x"), Some(lines.len() + 1)),
    ] {
        assert_ne!(damaged, text);
        fs::write(&path, &damaged).unwrap();
        let (stdout, stderr) = refusal(&sample.image);
        let all = format!("{stderr}{stdout}");
        assert!(!stderr.contains("panicked"), "{stderr}");
        assert!(
            stderr.contains("manifest") || stdout.contains("differs"),
            "{all}"
        );
        if let Some(line) = line {
            assert!(
                stderr.contains(&format!(", line {line}: ")),
                "{line}: {stderr}"
            );
        }
    }
    // Another version, whatever else is new in it; and a line that lacks something.
    let newer = "\"manifest_version\":3,\"new\":{}";
    let older = "{\n\"manifest_version\": 1,\n\"tool\": {\"name\":\"linpmem-dump\"}";
    let mut refused = vec![
        (
            replaced("\"manifest_version\":2", newer),
            "unsupported manifest version 3 (this program reads 2)",
        ),
        (
            older.to_owned(),
            "unsupported manifest version 1 (this program reads 2)",
        ),
    ];
    let (_, footer) = of("footer");
    let mut whole: serde_json::Value = serde_json::from_str(footer).unwrap();
    for name in ["sha256", "hashes", "sha256_tree", "sha256_remainder"] {
        let file = whole["footer"]["file"].as_object_mut().unwrap();
        let value = file.remove(name).unwrap();
        refused.push((replaced(footer, &whole.to_string()), name));
        whole["footer"]["file"][name] = value;
    }
    for (text, reason) in refused {
        fs::write(&path, text).unwrap();
        let (_, stderr) = refusal(&sample.image);
        assert!(stderr.contains(reason), "{reason}: {stderr}");
        assert!(stderr.contains("wrote it"), "{stderr}");
    }
    let ends = [0, 1, text.len() / 2, text.len() - 3, text.len() - 1];
    let border = text.len() - footer.len() - 1;
    for end in ends.into_iter().chain([border]) {
        fs::write(&path, &text[..end]).unwrap();
        // What it says up to there is compared; a part of the first line says nothing.
        let lines = text[..end].lines().count();
        if !text[..end].contains('\n') {
            let (_, stderr) = refusal(&sample.image);
            assert!(stderr.contains("is truncated after line"), "{stderr}");
            assert!(stderr.contains("did not finish"), "{stderr}");
            continue;
        }
        let run = assert_cmd::Command::cargo_bin("linpmem-dump")
            .unwrap()
            .arg("verify")
            .arg(&sample.image)
            .assert()
            .code(3);
        let said = String::from_utf8_lossy(&run.get_output().stdout).into_owned();
        let whole = lines - usize::from(!text[..end].ends_with('\n'));
        let place = format!("ends early, after line {whole}: ");
        assert!(said.contains(&place), "{end}: {said}");
        assert!(said.contains("did not finish"), "{said}");
    }
}

/// Whoever gave us the image chose what lies beside it, and a pipe may never answer.
#[test]
fn a_pipe_in_place_of_a_file_is_refused_and_not_waited_for() {
    for name in ["a.core.manifest.jsonl", "a.core"] {
        let folder = tempfile::tempdir().unwrap();
        Fake::default().acquire(folder.path(), &["a.core"]).unwrap();
        let path = folder.path().join(name);
        fs::remove_file(&path).unwrap();
        let made = Command::new("mkfifo").arg(&path).status();
        assert!(made.unwrap().success());
        for command in ["verify", "info"] {
            let run = assert_cmd::Command::cargo_bin("linpmem-dump")
                .unwrap()
                .args([command, "a.core"])
                .current_dir(folder.path())
                .timeout(Duration::from_secs(30))
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&run.stderr).into_owned();
            assert!(
                run.status.code().is_some(),
                "{command} with a pipe as {name} hangs"
            );
            if command == "verify" || name == "a.core" {
                assert!(said.contains("not a regular file"), "{name}: {said}");
            }
        }
    }
}
