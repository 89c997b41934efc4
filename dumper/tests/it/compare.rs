// SPDX-License-Identifier: MIT OR Apache-2.0
//! Two images, and where they differ.

use crate::fake::{Fake, range};
use assert_cmd::Command;
use linpmem_phys::Errno;
use serde_json::Value;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Exit code and output of `linpmem-dump compare`.
fn compare(folder: &Path, words: &[&str]) -> (i32, String) {
    let mut command = Command::cargo_bin("linpmem-dump").unwrap();
    let output = command
        .current_dir(folder)
        .arg("compare")
        .args(words)
        .output()
        .unwrap();
    let mut said = String::from_utf8(output.stdout).unwrap();
    said.push_str(&String::from_utf8(output.stderr).unwrap());
    (output.status.code().unwrap(), said)
}

fn events(said: &str, name: &str) -> Vec<Value> {
    said.lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|value| value["event"] == name)
        .collect()
}

#[test]
fn the_same_memory_is_equal_in_every_format() {
    let folder = tempfile::tempdir().unwrap();
    let refusing = Fake {
        refused: vec![(range(0x20_0000, 0x20_1fff), Errno::EIO)],
        ..Fake::default()
    };
    refusing
        .clone()
        .acquire(folder.path(), &["a.core"])
        .unwrap();
    for name in ["b.lime", "c.aff4", "d.kdump", "e.raw", "f.core.zst"] {
        refusing.clone().acquire(folder.path(), &[name]).unwrap();
        let (code, said) = compare(folder.path(), &["a.core", name]);
        assert_eq!(code, 0, "{name}: {said}");
        assert!(said.contains("2 of them unreadable in both"), "{said}");
    }
}

#[test]
fn one_changed_byte_is_found_wherever_it_is() {
    let folder = tempfile::tempdir().unwrap();
    Fake::default().acquire(folder.path(), &["a.lime"]).unwrap();
    let name = folder.path().join("b.raw");
    Fake::default().acquire(folder.path(), &["b.raw"]).unwrap();
    let file = fs::OpenOptions::new()
        .write(true)
        .read(true)
        .open(&name)
        .unwrap();
    // Back to back: 0x1000-0x9ffff comes first, then what begins at 1 MiB.
    let first = 0x10_0000 - 0x9_f000;
    for at in [0x1fff_u64, 0x9_f000, 0x9_f000 + 0x1000, 0x30_0000] {
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ 1], at).unwrap();
    }
    let (code, said) = compare(folder.path(), &["a.lime", "b.raw", "--json"]);
    assert_eq!(code, 1, "{said}");
    let extents: Vec<_> = events(&said, "extent")
        .iter()
        .map(|event| {
            assert_eq!(event["finding"], "different");
            (
                event["start"].to_string(),
                event["pages"].clone(),
                event["different_bytes"].clone(),
            )
        })
        .collect();
    let expected = [
        ("0x2000".to_owned(), 1, 1),
        // Two pages, side by side.
        ("0x100000".to_owned(), 2, 2),
        (format!("{:#x}", 0x30_0000 + first), 1, 1),
    ];
    let expected: Vec<_> = expected
        .into_iter()
        .map(|(start, pages, bytes)| (format!("\"{start}\""), pages.into(), bytes.into()))
        .collect();
    assert_eq!(extents, expected);
    let summary = &events(&said, "summary")[0];
    assert_eq!(summary["different_pages"], 4);
    assert_eq!(summary["different_bytes"], 4);
    assert_eq!(summary["equal"], false);

    let (code, said) = compare(folder.path(), &["a.lime", "b.raw"]);
    assert_eq!(code, 1);
    assert!(said.contains("2 pages, 2 bytes differ"), "{said}");
    assert!(said.contains("different: 4 of "), "{said}");
    let window = ["a.lime", "b.raw", "--range", "0x3000-0x9efff"];
    assert_eq!(compare(folder.path(), &window).0, 0);
}

#[test]
fn memory_that_only_one_has_and_unreadable_memory_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let refusing = Fake {
        refused: vec![(range(0x3000, 0x4fff), Errno::EIO)],
        ..Fake::default()
    };
    let words = ["a.core", "--include-reserved"];
    refusing.acquire(folder.path(), &words).unwrap();
    let words = ["b.core", "--range", "0-0x4fffff"];
    Fake::default().acquire(folder.path(), &words).unwrap();
    let (code, said) = compare(folder.path(), &["a.core", "b.core", "--json"]);
    assert_eq!(code, 1);
    let found: Vec<_> = events(&said, "extent")
        .iter()
        .map(|event| format!("{} {}", event["start"].as_str().unwrap(), event["finding"]))
        .collect();
    assert_eq!(
        found,
        [
            "0x0 \"only-left\"",
            "0x500000 \"only-left\"",
            "0x100000000 \"only-left\"",
            "0x3000 \"unreadable-left\""
        ]
    );
    assert_eq!(events(&said, "summary")[0]["unreadable_pages"], 2);
    let (_, said) = compare(folder.path(), &["b.core", "a.core", "--json"]);
    let last = events(&said, "extent").pop().unwrap();
    assert_eq!(
        (&last["start"], &last["finding"]),
        (&"0x3000".into(), &"unreadable-right".into())
    );
}

#[test]
fn a_file_that_is_not_an_image_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    Fake::default().acquire(folder.path(), &["a.core"]).unwrap();
    let (code, said) = compare(folder.path(), &["a.core", "a.core.manifest.jsonl"]);
    assert_eq!(code, 1);
    assert!(said.contains("a.core.manifest.jsonl"), "{said}");
    // And nothing but what helps if it is a raw image.
    let mut rest = said.lines().skip(1);
    assert!(
        rest.all(|line| line.starts_with("  --input-layout")),
        "{said}"
    );
    assert!(said.lines().count() == 3, "{said}");
}
