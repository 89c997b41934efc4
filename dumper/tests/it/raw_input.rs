// SPDX-License-Identifier: MIT OR Apache-2.0
//! Raw images that other programs wrote: nothing in them says where their bytes belong.

use crate::fake::{Fake, page};
use assert_cmd::Command;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// What the machine's /proc/iomem says: memory on both sides of the hole below 4 GiB.
const IOMEM: &str = "00000000-00000fff : Reserved
00001000-0009fbff : System RAM
0009fc00-0009ffff : Reserved
000a0000-000bffff : PCI Bus 0000:00
00100000-003fffff : System RAM
  00200000-002fffff : Kernel code
fec00000-fec003ff : IOAPIC 0
100000000-1000fffff : System RAM
";

/// The same memory, as ranges of bytes.
const RAM: [(u64, u64); 3] = [
    (0x1000, 0x9_fbff),
    (0x10_0000, 0x3f_ffff),
    (0x1_0000_0000, 0x1_000f_ffff),
];

/// Where the memory of [`RAM`] ends.
const END: u64 = 0x1_0010_0000;

fn run(folder: &Path, words: &[&str]) -> (i32, String) {
    let output = Command::cargo_bin("linpmem-dump")
        .unwrap()
        .current_dir(folder)
        .args(words)
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(!said.contains("panicked"), "{words:?}: {said}");
    (output.status.code().unwrap(), said)
}

/// The bytes of memory from `first` to `last`.
fn memory(first: u64, last: u64) -> Vec<u8> {
    let start = first & !0xfff;
    let pages = (start..=last).step_by(4096).flat_map(page);
    let skip = usize::try_from(first - start).unwrap();
    let len = usize::try_from(last - first + 1).unwrap();
    pages.skip(skip).take(len).collect()
}

/// As `pmemsave 0 END name` writes it: all addresses, also those without memory.
fn pmemsave(folder: &Path, name: &str) {
    let file = File::create(folder.join(name)).unwrap();
    file.set_len(END).unwrap();
    for (first, last) in RAM {
        file.write_all_at(&memory(first, last), first).unwrap();
    }
    // The firmware's registers are no memory.
    file.write_all_at(&[0xee; 64], 0xfec0_0000).unwrap();
}

/// As VMware writes it: all memory, without the hole below 4 GiB.
fn vmem(folder: &Path, name: &str) {
    let low = memory(0, 0x3f_ffff);
    let high = memory(0x1_0000_0000, 0x1_000f_ffff);
    fs::write(folder.join(name), [low, high].concat()).unwrap();
}

/// As LiME's `format=raw` writes it: System RAM to the byte.
fn concatenated(folder: &Path, name: &str) {
    let bytes: Vec<u8> = RAM.iter().flat_map(|&(a, b)| memory(a, b)).collect();
    fs::write(folder.join(name), bytes).unwrap();
}

/// Checks that the bytes of every range are where they belong.
fn is_true(folder: &Path, words: &[&str]) {
    for (first, last) in RAM {
        let range = format!("{first:#x}-{last:#x}");
        let command = [&["extract"], words, &["piece", "--range", &range]].concat();
        let (code, said) = run(folder, &command);
        assert_eq!(code, 0, "{words:?}: {said}");
        let piece = fs::read(folder.join("piece")).unwrap();
        assert!(piece == memory(first, last), "{words:?}: {range}");
        fs::remove_file(folder.join("piece")).unwrap();
    }
}

fn folder_with_lists() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("iomem.txt"), IOMEM).unwrap();
    let lines = "# VMware\n0x0+4MiB\n0x100000000+1MiB\n";
    fs::write(folder.path().join("vmware.txt"), lines).unwrap();
    folder
}

#[test]
fn the_error_shows_the_options_and_they_work_as_shown() {
    let folder = folder_with_lists();
    let path = folder.path();
    pmemsave(path, "p.mem");
    // Reading all of the hole below 4 GiB would take a minute.
    let file = File::options().write(true).open(path.join("p.mem"));
    file.unwrap().set_len(0x40_0000).unwrap();
    concatenated(path, "c.dd");
    fs::copy(path.join("c.dd"), path.join("noextension")).unwrap();
    for image in ["p.mem", "c.dd", "noextension"] {
        for words in [
            &["info", image][..],
            &["convert", image, "new.core"],
            &["extract", image, "new", "--range", "0x1000+0x1000"],
            &["compare", image, image],
            &["recover", image],
            &["ranges", "--source", &format!("file:{image}")],
            &["new.core", "--source", &format!("file:{image}")],
        ] {
            let (code, said) = run(path, words);
            assert_eq!(code, 1, "{words:?}: {said}");
            let shown = |line: &&str| line.trim_start().starts_with("--input-layout");
            let shown: Vec<String> = said
                .lines()
                .filter(shown)
                .map(|line| line.split("    ").find(|part| !part.is_empty()).unwrap())
                .map(|line| line.trim().replace("FILE", "iomem.txt"))
                .collect();
            assert_eq!(shown.len(), 2, "{said}");
            let option = &shown[usize::from(image != "p.mem")];
            let words: Vec<&str> = words.iter().copied().chain(option.split(' ')).collect();
            let (code, said) = run(path, &words);
            let expected = match words[0] {
                // There is nothing to recover.
                "recover" => 1,
                // A part of page 0x9f000 is not memory.
                "convert" | "new.core" if image != "p.mem" => 3,
                _ => 0,
            };
            assert_eq!(code, expected, "{words:?}: {said}");
            for file in fs::read_dir(path).unwrap() {
                let file = file.unwrap();
                if file.file_name().to_string_lossy().starts_with("new") {
                    fs::remove_file(file.path()).unwrap();
                }
            }
        }
    }
}

#[test]
fn every_layout_and_list_puts_the_bytes_where_they_belong() {
    let folder = folder_with_lists();
    let path = folder.path();
    pmemsave(path, "p.mem");
    vmem(path, "v.vmem");
    concatenated(path, "c.raw");
    let padded = ["--input-layout", "padded"];
    let (code, said) = run(path, &[&["info", "p.mem"][..], &padded].concat());
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("one range from address 0"), "{said}");
    is_true(path, &["p.mem", "--input-layout", "padded"]);

    // A range is memory or it is not, whatever the image has there.
    let with = [&padded[..], &["--input-ranges", "iomem.txt"]].concat();
    is_true(path, &[&["p.mem"][..], &with].concat());
    let hole = [
        &["extract", "p.mem", "hole", "--range", "0xfec00000+64"][..],
        &with,
    ]
    .concat();
    let (code, said) = run(path, &hole);
    assert_eq!(code, 3, "{said}");

    let concat = |list| ["--input-layout", "concatenated", "--input-ranges", list];
    is_true(path, &[&["v.vmem"][..], &concat("vmware.txt")].concat());
    is_true(path, &[&["c.raw"][..], &concat("iomem.txt")].concat());

    // What this program says of the same memory is a list as well.
    let convert = [&["convert", "c.raw", "p.core"][..], &concat("iomem.txt")].concat();
    let (code, said) = run(path, &convert);
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("0x9fc00-0x9ffff"), "{said}");
    let parts = [(0x1000, 0x9_ffff), RAM[1], RAM[2]];
    let bytes: Vec<u8> = parts.iter().flat_map(|&(a, b)| memory(a, b)).collect();
    fs::write(path.join("w.raw"), bytes).unwrap();
    for (name, words) in [
        (
            "ranges.json",
            ["ranges", "--json", "--source", "file:p.core"],
        ),
        (
            "info.json",
            ["info", "--json", "p.core", "--memory-limit=1GiB"],
        ),
    ] {
        let (code, said) = run(path, &words);
        assert_eq!(code, 0, "{said}");
        fs::write(path.join(name), said).unwrap();
        is_true(path, &[&["w.raw"][..], &concat(name)].concat());
    }
    is_true(
        path,
        &[&["w.raw"][..], &concat("p.core.manifest.jsonl")].concat(),
    );
    let info = run(path, &["info", "p.core"]).1;
    assert!(info.contains("0x1000fffff"), "{info}");
    assert!(!info.contains("0xfec00000"), "{info}");
}

/// Our own raw images are in whole pages; a manifest that is lost is no reason to lose them.
#[test]
fn an_image_in_whole_pages_is_opened_with_ranges_to_the_byte() {
    let folder = folder_with_lists();
    let path = folder.path();
    for last in [0x9_ffff, 0x9_efff] {
        let parts = [(0x1000, last), RAM[1], RAM[2]];
        let bytes: Vec<u8> = parts.iter().flat_map(|&(a, b)| memory(a, b)).collect();
        fs::write(path.join("w.raw"), bytes).unwrap();
        let words = ["w.raw", "--input-layout", "concatenated"];
        let words = [&words[..], &["--input-ranges", "iomem.txt"]].concat();
        let (code, said) = run(path, &[&["info"], &words[..]].concat());
        assert_eq!(code, 0, "{said}");
        assert!(said.contains("whole pages"), "{said}");
        let high = [
            &["extract"],
            &words[..],
            &["h", "--range", "0x100000000+4096"],
        ]
        .concat();
        assert_eq!(run(path, &high).0, 0);
        assert!(fs::read(path.join("h")).unwrap() == page(0x1_0000_0000));
        fs::remove_file(path.join("h")).unwrap();
    }
}

#[test]
fn what_the_ranges_have_and_the_image_does_not_is_missing() {
    let folder = folder_with_lists();
    let path = folder.path();
    concatenated(path, "c.raw");
    pmemsave(path, "p.mem");
    let low: String = IOMEM
        .lines()
        .take(6)
        .map(|line| format!("{line}\n"))
        .collect();
    fs::write(path.join("low.txt"), low).unwrap();
    let len = fs::metadata(path.join("c.raw")).unwrap().len();
    for (image, layout, list, len) in [
        ("c.raw", "concatenated", "iomem.txt", len - 0x8_0000),
        ("p.mem", "padded", "low.txt", 0x40_0000 - 0x8_0000),
    ] {
        let file = File::options().write(true).open(path.join(image)).unwrap();
        file.set_len(len).unwrap();
        let options = ["--input-layout", layout, "--input-ranges", list];
        let lost = match layout {
            "padded" => "0x3f0000+4096",
            _ => "0x1000f0000+4096",
        };
        for words in [
            &["info", image][..],
            &["convert", image, "new.core", "--force"],
            &["extract", image, "lost", "--range", lost],
            &["compare", image, image],
            &["recover", image, "new.raw"],
        ] {
            let words = [words, &options[..]].concat();
            let (code, said) = run(path, &words);
            assert_eq!(code, 3, "{words:?}: {said}");
            let is_told = said.contains("512 KiB") || said.contains("ENOLINK");
            assert!(is_told, "{words:?}: {said}");
            if layout == "concatenated" {
                assert!(said.contains("are not its own"), "{words:?}: {said}");
            }
        }
        let (code, said) = run(path, &["compare", "new.core", "new.raw"]);
        assert_eq!(code, 0, "{said}");
        for name in [
            "lost",
            "new.raw",
            "new.raw.manifest.jsonl",
            "new.raw.sha256",
        ] {
            fs::remove_file(path.join(name)).unwrap();
        }
    }
}

#[test]
fn bytes_that_no_range_has_are_not_passed_over() {
    let folder = folder_with_lists();
    let path = folder.path();
    vmem(path, "v.vmem");
    pmemsave(path, "p.mem");
    // The addresses after the surplus would be wrong.
    let concat = [
        "--input-layout",
        "concatenated",
        "--input-ranges",
        "iomem.txt",
    ];
    for (image, is_hinted) in [("v.vmem", false), ("p.mem", true)] {
        let (code, said) = run(path, &[&["info", image][..], &concat].concat());
        assert_eq!(code, 1, "{said}");
        assert!(said.contains("iomem.txt: the ranges require"), "{said}");
        let hint = said.contains("say --input-layout padded");
        assert_eq!(hint, is_hinted, "{said}");
    }
    let file = File::options().write(true).open(path.join("p.mem"));
    file.unwrap().set_len(END + 0x3000).unwrap();
    let padded = ["--input-layout", "padded", "--input-ranges", "iomem.txt"];
    let (code, said) = run(path, &[&["info", "p.mem"][..], &padded].concat());
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("12288 bytes of the image follow"), "{said}");
    // The wrong layout of the two.
    concatenated(path, "c.raw");
    let (code, said) = run(path, &[&["info", "c.raw"][..], &padded].concat());
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("say --input-layout concatenated"), "{said}");
}

#[test]
fn options_that_make_no_sense_are_refused() {
    let folder = folder_with_lists();
    let path = folder.path();
    Fake::default().acquire(path, &["a.core"]).unwrap();
    let padded = ["--input-layout", "padded"];
    for (words, expected, hint) in [
        (
            &["info", "x", "--input-layout", "concatenated"][..],
            2,
            "--input-ranges",
        ),
        (
            &["info", "x", "--input-ranges", "iomem.txt"],
            2,
            "--input-layout",
        ),
        (
            &["x.core", "--source", "kcore", padded[0], padded[1]],
            2,
            "file:IMAGE",
        ),
        (&["ranges", padded[0], padded[1]], 2, "file:IMAGE"),
        (
            &["info", "a.core", padded[0], padded[1]],
            1,
            "its format is ELF core",
        ),
        (
            &["verify", "a.core", padded[0], padded[1]],
            2,
            "--input-layout",
        ),
    ] {
        let (code, said) = run(path, words);
        assert_eq!(code, expected, "{words:?}: {said}");
        assert!(said.contains(hint), "{words:?}: {said}");
    }
    // An image with addresses is compared with one that has none.
    concatenated(path, "c.raw");
    let options = [
        "--input-layout",
        "concatenated",
        "--input-ranges",
        "iomem.txt",
    ];
    let words = ["compare", "a.core", "c.raw", "--range", "0x100000-0x3fffff"];
    let (code, said) = run(path, &[&words[..], &options].concat());
    assert_eq!(code, 0, "{said}");
}

/// A page of a ZIP or of a program may come first.
#[test]
fn memory_that_begins_with_a_magic_number_is_memory() {
    let folder = folder_with_lists();
    let path = folder.path();
    for magic in [&b"PK\x03\x04"[..], b"\x7fELF", b"EMiL", b"KDUMP   "] {
        let mut bytes = vec![0x5a; 0x3000];
        bytes[..magic.len()].copy_from_slice(magic);
        fs::write(path.join("m.mem"), &bytes).unwrap();
        let (code, said) = run(path, &["info", "m.mem", "--input-layout=padded"]);
        assert_eq!(code, 0, "{magic:?}: {said}");
        let words = ["extract", "m.mem", "all", "--range", "0x0+0x3000"];
        let (code, said) = run(path, &[&words[..], &["--input-layout=padded"]].concat());
        assert_eq!(code, 0, "{magic:?}: {said}");
        assert!(fs::read(path.join("all")).unwrap() == bytes);
        fs::remove_file(path.join("all")).unwrap();
    }
}

#[test]
fn hostile_lists_are_refused() {
    let folder = folder_with_lists();
    let path = folder.path();
    concatenated(path, "c.raw");
    for (list, hint) in [
        ("0x2000+0x1000\n0x1000+0x1000\n", "list them by address"),
        ("0x1000+0x2000\n0x2000+0x1000\n", "list them by address"),
        ("\u{1b}[2J\n", "line 1"),
        ("", "lists no ranges"),
        ("{\"header\":{", "manifest f is truncated"),
        (
            "{\"format\":\"linpmem-dump ranges\",\"ranges\":[{\"start\":\"0x0\",\"last\":\"0xffffffffffffffff\"}]}",
            "is not a range",
        ),
    ] {
        fs::write(path.join("f"), list).unwrap();
        let words = [
            "info",
            "c.raw",
            "--input-layout",
            "concatenated",
            "--input-ranges",
            "f",
        ];
        let (code, said) = run(path, &words);
        assert_eq!(code, 1, "{list:?}: {said}");
        assert!(said.contains(hint), "{list:?}: {said}");
        assert!(!said.contains('\u{1b}'), "{said}");
    }
    // More memory than any file has is missing, not an overflow.
    fs::write(path.join("f"), "0x0-0xfffffffffffffffe\n").unwrap();
    for layout in ["concatenated", "padded"] {
        let words = [
            "info",
            "c.raw",
            "--input-layout",
            layout,
            "--input-ranges",
            "f",
        ];
        let (code, said) = run(path, &words);
        assert_eq!(code, 3, "{said}");
    }
}
