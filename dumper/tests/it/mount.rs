// SPDX-License-Identifier: MIT OR Apache-2.0
//! `mount`: memory, ranges and what is said about an image, through the kernel.

use crate::encryption::{PUBLIC, keys};
use crate::fake::{Fake, page, range};
use crate::mounted::{Mount, refused};
use linpmem_phys::Errno;
use linpmem_phys::num::usize_as_u64;
use rustix::fs::{SeekFrom, seek};
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::process::Command;
use std::thread;

/// What the image has, without the pages that could not be read.
const RANGES: [(u64, u64); 3] = [
    (0x1000, 0x9_ffff),
    (0x10_0000, 0x7f_ffff),
    (0x1_0000_0000, 0x1_00ff_efff),
];
const REFUSED: [(u64, u64); 2] = [(0x2000, 0x2fff), (0x1f_e000, 0x20_1fff)];
pub const END: u64 = 0x1_00ff_f000;

pub fn fake() -> Fake {
    Fake {
        refused: vec![
            (range(0x2000, 0x2fff), Errno::EIO),
            (range(0x1f_e000, 0x20_1fff), Errno::EHWPOISON),
        ],
        ..Fake::default()
    }
}

/// The bytes from `at` on, as they have to be in memory.raw.
fn expected(at: u64, len: u64) -> Vec<u8> {
    let is_in = |parts: &[(u64, u64)], at: u64| {
        let mut parts = parts.iter();
        parts.any(|&(first, last)| (first..=last).contains(&at))
    };
    let start = at & !0xfff;
    let mut bytes = Vec::new();
    for at in (start..at + len).step_by(4096) {
        match is_in(&RANGES, at) && !is_in(&REFUSED, at) {
            true => bytes.extend(page(at)),
            false => bytes.extend([0; 4096]),
        }
    }
    let skipped = usize::try_from(at - start).unwrap();
    bytes[skipped..skipped + usize::try_from(len).unwrap()].to_vec()
}

/// Numbers that look random and are the same each time.
fn random(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

/// Compares pieces at random places of `file` with memory; those near the ranges more often.
pub fn compare(file: &File, seed: u64) {
    let mut state = seed;
    for round in 0..300 {
        let (first, last) = RANGES[usize::try_from(random(&mut state) % 3).unwrap()];
        let at = match round % 3 {
            0 => random(&mut state) % END,
            1 => first.saturating_sub(0x1800) + random(&mut state) % 0x4000,
            _ => first + random(&mut state) % (last - first),
        };
        let len = random(&mut state) % 9000;
        let mut bytes = vec![0xee; usize::try_from(len).unwrap()];
        let read = file.read_at(&mut bytes, at).unwrap();
        let there = END.saturating_sub(at).min(len);
        assert_eq!(u64::try_from(read).unwrap(), there, "{at:#x}+{len:#x}");
        assert!(bytes[..read] == expected(at, there), "{at:#x}+{len:#x}");
    }
}

fn dump(at: &Path, words: &[&str]) -> std::process::Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_linpmem-dump"));
    command.current_dir(at).args(words).output().unwrap()
}

/// Checks everything about memory in the mounted image `name`, which `key` decrypts.
fn check_memory(at: &Path, mount: &Mount, name: &str, key: &[&str]) {
    let raw = File::open(mount.path("memory.raw")).unwrap();
    let metadata = raw.metadata().unwrap();
    assert_eq!(metadata.len(), END, "{name}");
    assert!(metadata.blocks() * 512 < 32 << 20, "{name}");
    compare(&raw, 0x1234_5678);

    let listed = mount.text("unreadable.txt");
    let is_listed = "0x2000-0x2fff, 1 page: EIO (the hardware, the kernel's mapping or the image's file \
         failed)\n0x1fe000-0x201fff, 4 pages: EHWPOISON (the hardware reported the page as faulty)\n";
    assert_eq!(listed, is_listed, "{name}");

    let names = RANGES.map(|(first, last)| format!("{first:#x}-{last:#x}.bin"));
    let mut sorted = names.to_vec();
    sorted.sort();
    assert_eq!(mount.names("ranges"), sorted, "{name}");
    for ((first, last), file) in RANGES.iter().zip(&names) {
        let bytes = mount.read(&format!("ranges/{file}"));
        assert_eq!(usize_as_u64(bytes.len()), last - first + 1);
        assert!(
            bytes == expected(*first, last - first + 1),
            "{name}: {file}"
        );
    }

    let info = dump(at, &[&["info", name, "--json"], key].concat());
    assert_eq!(mount.read("info.json"), info.stdout, "{name}");
    let core = at.join("converted.core");
    let words = [
        "convert",
        name,
        "converted.core",
        "--no-artifacts",
        "--progress=none",
    ];
    let converted = dump(at, &[&words[..], key].concat());
    assert_eq!(converted.status.code(), Some(3), "{name}: {converted:?}");
    assert!(
        mount.read("memory.elf") == fs::read(&core).unwrap(),
        "{name}"
    );
    for name in [
        "converted.core",
        "converted.core.manifest.jsonl",
        "converted.core.sha256",
    ] {
        fs::remove_file(at.join(name)).unwrap();
    }
}

#[test]
fn memory_is_what_it_was_in_images_of_every_format() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    for name in [
        "a.core",
        "a.core.zst",
        "a.raw",
        "a.padded",
        "a.lime",
        "a.lime.lz4",
        "a.aff4",
        "a.kdump",
        "a.avml",
    ] {
        fake().acquire(at, &[name]).unwrap();
        let mount = Mount::new(at, &[name]);
        check_memory(at, &mount, name, &[]);
        let (code, said) = mount.end();
        assert_eq!(code, Some(0), "{name}: {said}");
        assert!(said.contains("the kernel is not shown: "), "{said}");
    }
}

#[test]
fn an_encrypted_image_is_read_with_its_key() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    keys(at);
    fake()
        .acquire(at, &["a.core", "--encrypt-to", PUBLIC])
        .unwrap();
    let key = ["--identity", "key.txt"];
    let mount = Mount::new(at, &[&key[..], &["a.core.age"]].concat());
    check_memory(at, &mount, "a.core.age", &key);
    assert_eq!(mount.end().0, Some(0));
    fs::create_dir(at.join("d")).unwrap();
    let without = refused(at, &["a.core.age", "d"]);
    assert_eq!(without.status.code(), Some(1));
    let said = String::from_utf8_lossy(&without.stderr);
    assert!(said.contains("--identity"), "{said}");
}

#[test]
fn holes_are_where_the_image_has_nothing() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a.aff4", "a.lime"] {
        fake().acquire(folder.path(), &[name]).unwrap();
        let mount = Mount::new(folder.path(), &[name]);
        let raw = File::open(mount.path("memory.raw")).unwrap();
        let mut found = Vec::new();
        let mut at = 0;
        while let Ok(data) = seek(&raw, SeekFrom::Data(at)) {
            at = seek(&raw, SeekFrom::Hole(data)).unwrap();
            found.push((data, at - 1));
        }
        // Of the two, only AFF4 marks pages that could not be read.
        let apart: &[(u64, u64)] = match name {
            "a.aff4" => &[
                (0x1000, 0x1fff),
                (0x3000, 0x9_ffff),
                (0x10_0000, 0x1f_dfff),
                (0x20_2000, 0x7f_ffff),
                (0x1_0000_0000, 0x1_00ff_efff),
            ],
            _ => &RANGES,
        };
        assert_eq!(found, apart, "{name}");
        assert_eq!(seek(&raw, SeekFrom::Hole(0)), Ok(0));
        assert!(seek(&raw, SeekFrom::Hole(END)).is_err());
        let held: u64 = apart.iter().map(|(first, last)| last - first + 1).sum();
        assert_eq!(raw.metadata().unwrap().blocks(), held / 512, "{name}");
        let whole = format!("ranges/{:#x}-{:#x}.bin", RANGES[0].0, RANGES[0].1);
        let whole = File::open(mount.path(&whole)).unwrap();
        let next = seek(&whole, SeekFrom::Hole(0)).unwrap();
        assert_eq!(next, apart[0].1 + 1 - 0x1000, "{name}");
    }
}

#[test]
fn several_readers_read_at_once_and_nobody_writes() {
    let folder = tempfile::tempdir().unwrap();
    fake().acquire(folder.path(), &["a.core.zst"]).unwrap();
    let mount = Mount::new(folder.path(), &["a.core.zst"]);
    thread::scope(|scope| {
        for seed in 1..9 {
            let path = mount.path("memory.raw");
            scope.spawn(move || compare(&File::open(path).unwrap(), seed << 20 | 1));
        }
        scope.spawn(|| mount.run(&["ls", "-lR", "."]));
    });
    let listed = mount.run(&["ls", "-lR", "."]);
    for line in [
        "memory.raw",
        "memory.elf",
        "./ranges:",
        "0x1000-0x9ffff.bin",
    ] {
        assert!(listed.contains(line), "{listed}");
    }
    for name in ["memory.raw", "new"] {
        let error = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(mount.path(name));
        assert_eq!(
            error.unwrap_err().raw_os_error(),
            Some(Errno::EROFS.get()),
            "{name}"
        );
    }
    let error = fs::remove_file(mount.path("memory.raw")).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(Errno::EROFS.get()));
    let error = File::open(mount.path("ranges/0x1000-0x9fffe.bin")).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(Errno::ENOENT.get()));
}

#[test]
fn ordinary_programs_find_in_it_what_is_in_the_bytes() {
    let folder = tempfile::tempdir().unwrap();
    fake().acquire(folder.path(), &["a.kdump"]).unwrap();
    let mount = Mount::new(folder.path(), &["a.kdump"]);
    let bytes = mount.read("ranges/0x100000-0x7fffff.bin");
    fs::write(folder.path().join("plain.bin"), &bytes).unwrap();
    let plain = folder
        .path()
        .join("plain.bin")
        .to_string_lossy()
        .into_owned();
    let grep = |file: &str| mount.run(&["grep", "-a", "-o", "-b", "page [0-9]*7 at 0x", file]);
    let found = grep("ranges/0x100000-0x7fffff.bin");
    assert!(found.lines().count() > 1000, "{found}");
    assert_eq!(found, grep(&plain));
    let copied = folder.path().join("copied.bin");
    let from = [
        "if=memory.raw",
        "bs=4096",
        "skip=256",
        "count=1792",
        "status=none",
    ];
    let to = format!("of={}", copied.display());
    mount.run(&[&["dd"], &from[..], &[&to]].concat());
    assert!(fs::read(copied).unwrap() == bytes);
    let sparse = folder.path().join("sparse.raw");
    let sparse = sparse.to_string_lossy().into_owned();
    mount.run(&["cp", "--sparse=always", "memory.raw", &sparse]);
    let metadata = fs::metadata(&sparse).unwrap();
    assert!((metadata.len(), metadata.blocks() < 64 << 11) == (END, true));
    compare(&File::open(sparse).unwrap(), 77);
}

#[test]
fn artifacts_are_files_whatever_their_names_are() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fake().acquire(at, &["a.lime"]).unwrap();
    // It says that there are none.
    fs::remove_file(at.join("a.lime.manifest.jsonl")).unwrap();
    let large: Vec<u8> = (0..5_000_000_u32).flat_map(u32::to_le_bytes).collect();
    let long = "x".repeat(3000);
    let files = [
        ("proc/kallsyms", &b"symbols"[..]),
        ("large", &large),
        ("../../etc/passwd", b"up"),
        ("proc", b"a file where a folder is"),
        ("a\u{1b}[2Jb", b"escape"),
        ("a\u{7}[2Jb", b"bell"),
        ("proc/kallsyms", b"hidden behind the first"),
        (&long, b"long"),
        ("//double//slash", b"slashes"),
    ];
    let files: Vec<_> = files
        .map(|(name, content)| (name.to_owned(), content))
        .into();
    fs::write(at.join("a.lime.artifacts.tar.zst"), archive_of(&files)).unwrap();
    let mount = Mount::new(at, &["a.lime"]);
    let cut = format!("{}\u{2026}", "x".repeat(200));
    let mut expected = vec![
        "_..",
        "a\u{fffd}[2Jb",
        "a\u{fffd}[2Jb~2",
        "double",
        "large",
        "proc",
        "proc~2",
        &cut,
    ];
    expected.sort_unstable();
    assert_eq!(mount.names("artifacts"), expected);
    for (name, content) in [
        ("proc/kallsyms", "symbols"),
        ("proc~2", "a file where a folder is"),
        ("_../_../etc/passwd", "up"),
        ("a\u{fffd}[2Jb", "escape"),
        ("a\u{fffd}[2Jb~2", "bell"),
        ("double/slash", "slashes"),
    ] {
        assert_eq!(mount.text(&format!("artifacts/{name}")), content, "{name}");
    }
    let file = File::open(mount.path("artifacts/large")).unwrap();
    assert_eq!(file.metadata().unwrap().len(), 20_000_000);
    // From the end to the beginning, across the pieces in which it is read.
    for start in (0..5).rev().map(|part| (part * 4) << 20) {
        let offset = usize::try_from(start).unwrap().saturating_sub(6);
        let mut bytes = [0; 12];
        file.read_exact_at(&mut bytes, usize_as_u64(offset))
            .unwrap();
        assert_eq!(bytes, large[offset..offset + 12]);
    }
    drop(file);
    mount.run(&["ls", "-lR", "."]);
    let (code, said) = mount.end();
    assert_eq!(code, Some(0), "{said}");
}

/// An archive whose names nothing looks at.
fn archive_of(files: &[(String, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len().try_into().unwrap());
        header.set_mode(0o600);
        let is_long = name.len() > 100;
        let bytes = &mut header.as_old_mut().name;
        if !is_long {
            bytes[..name.len()].copy_from_slice(name.as_bytes());
        }
        header.set_cksum();
        match is_long {
            true => tar.append_data(&mut header, name, *content).unwrap(),
            false => tar.append(&header, *content).unwrap(),
        }
    }
    zstd::encode_all(tar.into_inner().unwrap().as_slice(), 1).unwrap()
}
