// SPDX-License-Identifier: MIT OR Apache-2.0
//! From each format to the next, and back.

use crate::fake::{Fake, range, verify};
use assert_cmd::Command;
use linpmem_formats::{
    CoreNote, ImagePlan, MachineFacts, PlannedRange, StreamOutput, elf, open_image, write_image,
};
use linpmem_manifest::Manifest;
use linpmem_phys::{Errno, RegionKind};
use predicates::prelude::PredicateBooleanExt;
use predicates::str::contains;
use std::fs;
use std::path::Path;

fn dump(folder: &Path) -> Command {
    let mut command = Command::cargo_bin("linpmem-dump").unwrap();
    command.current_dir(folder);
    command
}

fn refusing() -> Fake {
    Fake {
        refused: vec![
            (range(0x2000, 0x2fff), Errno::EIO),
            (range(0x1f_e000, 0x20_1fff), Errno::new(133)),
            (range(0x1_00ff_e000, 0x1_00ff_efff), Errno::new(61)),
        ],
        ..Fake::default()
    }
}

/// Addresses, kinds, hashes and unreadable pages of all ranges.
fn told(manifest: &Manifest) -> Vec<String> {
    manifest
        .ranges
        .iter()
        .map(|range| {
            let bad: Vec<_> = range
                .unreadable
                .iter()
                .map(|part| (part.range, part.errno.get()))
                .collect();
            let kind = range.kind();
            format!(
                "{} {kind} {} {bad:?}",
                range.addresses, range.end.sha256_tree
            )
        })
        .collect()
}

#[test]
fn nothing_is_lost_on_the_way_through_all_formats() {
    let folder = tempfile::tempdir().unwrap();
    let words = ["0.core", "--include-reserved"];
    let first = refusing().acquire(folder.path(), &words).unwrap();
    let first = linpmem_manifest::read(&first.acquired.manifest).unwrap();
    let mut last = "0.core".to_owned();
    for name in [
        "1.lime",
        "2.kdump",
        "3.avml",
        "4.raw",
        "5.kdump",
        "6.aff4",
        "7.lime.zst",
        "8.core",
    ] {
        dump(folder.path())
            .args(["convert", "--progress=none", &last, name])
            .assert()
            .code(3);
        let path = folder.path().join(name);
        let (code, words) = verify(&path);
        assert_eq!(code, 0, "{name}: {words}");
        let manifest =
            linpmem_manifest::read(&folder.path().join(format!("{name}.manifest.jsonl")));
        let manifest = manifest.unwrap();
        assert_eq!(told(&manifest), told(&first), "{name}");
        let sum = fs::read_to_string(folder.path().join(format!("{last}.sha256"))).unwrap();
        let source = manifest.footer.source_sha256.unwrap().to_string();
        assert_eq!(sum.split(' ').next(), Some(source.as_str()), "{name}");
        if name.ends_with(".aff4") {
            // The copy in the volume has it as well.
            dump(folder.path())
                .args(["extract", name, "inside.json", "--file", "manifest.jsonl"])
                .assert()
                .success();
            let inside = linpmem_manifest::read(&folder.path().join("inside.json")).unwrap();
            assert_eq!(inside.footer.source_sha256, manifest.footer.source_sha256);
        }
        last = name.to_owned();
    }
    let read = |name: &str| fs::read(folder.path().join(name)).unwrap();
    assert!(read("0.core") == read("8.core"));
}

#[test]
fn damage_in_a_compressed_page_is_found() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a.kdump", "a.avml"] {
        Fake::default().acquire(folder.path(), &[name]).unwrap();
        let path = folder.path().join(name);
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() * 3 / 4;
        bytes[middle] ^= 0x40;
        fs::write(&path, bytes).unwrap();
        let (code, words) = verify(&path);
        assert_eq!(code, 1, "{words}");
        assert!(
            words.contains("DAMAGED") || words.contains("differ"),
            "{words}"
        );
    }
}

#[test]
fn extract_copies_to_the_byte_and_names_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    Fake::default()
        .acquire(folder.path(), &["a.kdump"])
        .unwrap();
    dump(folder.path())
        .args([
            "extract",
            "a.kdump",
            "b.bin",
            "--range",
            "0x400123-0x4a0124",
        ])
        .assert()
        .success();
    let found = fs::read(folder.path().join("b.bin")).unwrap();
    let pages: Vec<u8> = (0x400..=0x4a0)
        .flat_map(|page| crate::fake::page(page << 12))
        .collect();
    assert!(found == pages[0x123..=0xa_0124]);
    dump(folder.path())
        .args(["extract", "a.kdump", "-", "--range", "0x7ff000+2MiB"])
        .assert()
        .code(3)
        .stderr(contains("0x800000-0x9fefff is not in the image"));
    dump(folder.path())
        .args(["extract", "a.kdump", "b.bin", "--range", "0x1000-0x1fff"])
        .assert()
        .code(1)
        .stderr(contains("exists"));
}

#[test]
fn a_padded_image_comes_with_what_crash_needs() {
    let folder = tempfile::tempdir().unwrap();
    Fake::default()
        .acquire(folder.path(), &["a.padded", "--range", "0-0x7fffff"])
        .unwrap();
    let text = fs::read(folder.path().join("a.padded.vmcoreinfo.txt")).unwrap();
    assert_eq!(text, b"OSRELEASE=1.2.3\n");
}

#[test]
fn info_draws_what_is_there() {
    let folder = tempfile::tempdir().unwrap();
    refusing().acquire(folder.path(), &["a.kdump"]).unwrap();
    dump(folder.path())
        .args(["info", "a.kdump"])
        .assert()
        .success()
        .stdout(contains("kdump-compressed").and(contains("! unreadable")))
        .stdout(contains("               0x0  !"));
}

/// What a core of kexec's or QEMU's says of the processors.
#[test]
fn registers_and_other_notes_are_kept_or_missed_aloud() {
    let folder = tempfile::tempdir().unwrap();
    let note = |name: &[u8], kind, bytes| CoreNote {
        name: name.to_vec(),
        kind,
        content: vec![7; bytes],
    };
    let machine = MachineFacts {
        notes: vec![
            note(b"CORE", 1, 336),
            note(b"CORE", 1, 336),
            note(b"QEMU", 0, 432),
        ],
        ..MachineFacts::default()
    };
    let planned = PlannedRange {
        range: range(0x1000, 0x2fff),
        kind: RegionKind::SystemRam,
    };
    let plan = ImagePlan::new(vec![planned], machine.clone()).unwrap();
    let memory = Fake::default();
    let file = fs::File::create(folder.path().join("0.core")).unwrap();
    let mut writer = elf::Writer::new(&plan).unwrap();
    write_image(&memory, &plan, &mut writer, &mut StreamOutput::new(file)).unwrap();
    for (from, to) in [("0.core", "1.kdump"), ("1.kdump", "2.core.zst")] {
        dump(folder.path())
            .args(["convert", from, to])
            .assert()
            .code(0)
            .stderr(contains("lost").not());
        let image = open_image(&folder.path().join(to)).unwrap();
        assert_eq!(image.machine().notes, machine.notes, "{to}");
    }
    for to in ["3.lime", "3.raw", "3.padded", "3.avml", "3.aff4"] {
        dump(folder.path())
            .args(["convert", "0.core", to])
            .assert()
            .code(0)
            .stderr(contains(
                "lost from the input: the registers of 2 processors (NT_PRSTATUS) and a note (QEMU)",
            ));
    }
}
