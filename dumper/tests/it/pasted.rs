// SPDX-License-Identifier: MIT OR Apache-2.0
//! Commands that are printed are pasted into a shell, and work there.

use crate::cut_off::{SYSTEM_MAP, small_btf};
use crate::fake::{Fake, acquire_source};
use crate::hostile_files::archive;
use assert_cmd::Command;
use clap::Parser;
use linpmem_capture::stop::Stop;
use linpmem_dump::args::Cli;
use linpmem_dump::text::shell::{program, word};
use linpmem_formats::MachineFacts;
use linpmem_phys::PhysAddr;
use serde_json::Value;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Names that a shell, a terminal or a program would take for something else.
const NAMES: [&[u8]; 9] = [
    b"plain",
    b"two words",
    b"it's",
    b"-f",
    b"--help",
    b"web:1",
    b"$(touch pwned)`id`",
    b"\x1b[2Jx",
    b"\xff\xfe",
];

/// As Volatility 3: a folder with a symbol file, and an image that it can open.
const VOL: &str = r#"#!/bin/bash
[ "$1" = -s ] && [ "$3" = -f ] && [ "$5" = linux.pslist ] || exit 40
ls -- "$2"/*.isf.json.xz >/dev/null || exit 41
case $(head -c4 -- "$4" | tr '\0' .) in
    $'\x7fELF') ;;
    EMiL) ;;
    ....) [ "${4%padded}" != "$4" ] || exit 42 ;;
    *) exit 43 ;;
esac
echo opened
"#;

/// As crash: options, the kernel, and an image at an address.
const CRASH: &str = r#"#!/bin/bash
[ "$1" = --kaslr=0x1a000000 ] && [ "$2" = -m ] && [ "$4" = vmlinux ] || exit 40
[ -f "${5%@0}" ] && [ "${5%@0}" != "$5" ] && echo opened
"#;

fn run(folder: &Path, words: &[&OsStr]) -> (i32, String, String) {
    let output = Command::cargo_bin("linpmem-dump")
        .unwrap()
        .current_dir(folder)
        .args(words)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    (output.status.code().unwrap(), out, err)
}

/// What a shell makes of a command: its exit code and what it says.
fn paste(folder: &Path, command: &str) -> (i32, String) {
    let tools = folder.join("tools");
    let path = std::env::var("PATH").unwrap();
    let output = std::process::Command::new("bash")
        .current_dir(folder)
        .env("PATH", format!("{}:{path}", tools.display()))
        .args(["-c", command])
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(!folder.join("pwned").exists(), "{command}");
    (output.status.code().unwrap(), said)
}

/// A folder with stand-ins for the programs of others.
fn folder_with_tools() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let tools = folder.path().join("tools");
    fs::create_dir(&tools).unwrap();
    for (name, script) in [("vol", VOL), ("crash", CRASH)] {
        let tool = tools.join(name);
        fs::write(&tool, script).unwrap();
        fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).unwrap();
    }
    folder
}

fn named(name: &[u8], ending: &str) -> OsString {
    OsString::from_vec([name, ending.as_bytes()].concat())
}

/// `name` so that this program does not take it for an option.
fn argument(name: &OsStr) -> OsString {
    Path::new(".").join(name).into_os_string()
}

#[test]
fn the_command_for_volatility_opens_every_format() {
    let folder = folder_with_tools();
    let path = folder.path();
    fs::write(path.join("System.map"), SYSTEM_MAP).unwrap();
    let btf = small_btf();
    let files = [
        ("sys/kernel/btf/vmlinux".to_owned(), &btf[..]),
        ("proc/version".to_owned(), b"Linux version 6.1\n"),
    ];
    let artifacts = archive(0, &files);
    let map = ["--system-map", "System.map", "--json"].map(OsStr::new);
    let make = |name: &OsStr, options: &[&OsStr]| {
        let beside = [name.as_bytes(), b".artifacts.tar.zst"].concat();
        fs::write(path.join(OsStr::from_bytes(&beside)), &artifacts).unwrap();
        let name = argument(name);
        let words = [&[OsStr::new("symbols"), &name], &map[..], options].concat();
        let (code, out, err) = run(path, &words);
        assert_eq!(code, 0, "{name:?}: {err}");
        let json: Value = serde_json::from_str(&out).unwrap();
        let command = json["volatility_command"].as_str().unwrap().to_owned();
        let (code, said) = paste(path, &command);
        assert_eq!(code, 0, "{command}: {said}");
        assert!(said.contains("opened"), "{command}: {said}");
        (command, json["note"].is_null())
    };
    // Every format under a plain name, and every name in one that has to be converted.
    for ending in [
        "core",
        "lime",
        "padded",
        "kdump",
        "avml",
        "core.zst",
        "lime.lz4",
        "padded.zst",
    ] {
        let image = format!("source.{ending}");
        Fake::default()
            .acquire(path, &[&image, "--range", "0x1000-0x9efff"])
            .unwrap();
        // The manifest would say that there are no artifacts.
        fs::remove_file(path.join(format!("{image}.manifest.jsonl"))).unwrap();
        fs::rename(path.join(&image), path.join(format!("x.{ending}"))).unwrap();
        let (command, is_direct) = make(OsStr::new(&format!("x.{ending}")), &[]);
        let expected = ["core", "lime", "padded"].contains(&ending);
        assert_eq!(is_direct, expected, "{command}");
        assert_eq!(command.contains(" convert "), !expected, "{command}");
    }
    for name in NAMES {
        for ending in [".core", ".core.zst"] {
            let image = named(name, ending);
            fs::copy(path.join(format!("x{ending}")), path.join(&image)).unwrap();
            make(&image, &[]);
        }
    }
    // A raw image needs the options that said where its bytes belong.
    fs::write(path.join("a list"), "0x1000+0x3000\n").unwrap();
    fs::write(path.join("c.mem"), [7; 0x3000]).unwrap();
    let raw = ["--input-layout=concatenated", "--input-ranges=a list"].map(OsStr::new);
    let (command, _) = make(OsStr::new("c.mem"), &raw);
    assert!(command.contains("--input-ranges 'a list'"), "{command}");
}

#[test]
fn the_command_that_recovers_works_for_every_format_and_name() {
    let folder = folder_with_tools();
    let path = folder.path();
    let formats = [
        "core", "raw", "padded", "lime", "kdump", "avml", "aff4", "core.zst",
    ];
    let plain = formats.map(|ending| format!("plain.{ending}"));
    let others = NAMES
        .iter()
        .filter_map(|name| std::str::from_utf8(name).ok());
    for image in plain
        .into_iter()
        .chain(others.map(|name| format!("{name}.x.core")))
    {
        let stopped = Fake {
            stop_at: Some((PhysAddr::new(0x30_0000), Stop::default())),
            ..Fake::default()
        };
        let file = format!("./{image}");
        let words = [file.as_str(), "--range", "0x100000-0x5fffff"];
        let summary = stopped.acquire(path, &words).unwrap();
        let command = summary.document().recover_command.unwrap_or_default();
        // These tests are another program.
        let own = env!("CARGO_BIN_EXE_linpmem-dump");
        let command = command.replacen(&program(), &word(OsStr::new(own)), 1);
        assert!(command.contains(" recover "), "{image:?}: {command}");
        let (code, said) = paste(path, &command);
        assert_eq!(code, 3, "{command}: {said}");
        assert!(summary.to_string().contains("  recover:    "), "{image:?}");
    }
    // A whole image needs none.
    let summary = Fake::default().acquire(path, &["w.core"]).unwrap();
    assert_eq!(summary.document().recover_command, None);
}

#[test]
fn the_command_for_crash_names_the_image() {
    let folder = folder_with_tools();
    let path = folder.path();
    for name in NAMES
        .iter()
        .filter_map(|name| std::str::from_utf8(name).ok())
    {
        let mut source = Fake::default().source();
        let note = b"OSRELEASE=1\nKERNELOFFSET=1a000000\nNUMBER(phys_base)=4096\n";
        source.machine = MachineFacts {
            vmcoreinfo: Some(note.to_vec()),
            ..MachineFacts::default()
        };
        let image = format!("./{name}.padded");
        let words = [image.as_str(), "--range", "0x1000-0x9efff"];
        let summary = acquire_source(path, &words, source).unwrap();
        let command = summary.document().crash_command.unwrap();
        let (code, said) = paste(path, &command);
        assert_eq!((code, said.trim()), (0, "opened"), "{command}");
    }
    // crash cannot open a file of such a name.
    let mut source = Fake::default().source();
    source.machine.vmcoreinfo = Some(b"KERNELOFFSET=1a000000\nNUMBER(phys_base)=1\n".to_vec());
    let words = ["a@b.padded", "--range", "0x1000-0x9efff"];
    let summary = acquire_source(path, &words, source).unwrap();
    assert_eq!(summary.document().crash_command, None);
}

#[test]
fn the_command_that_lists_artifacts_has_a_name() {
    let folder = folder_with_tools();
    let path = folder.path();
    Fake::default()
        .acquire(path, &["s.lime", "--range", "0x1000-0x9efff"])
        .unwrap();
    let artifacts = archive(0, &[("proc/version".to_owned(), b"Linux version 6.1\n")]);
    for name in NAMES {
        let image = named(name, ".lime");
        fs::copy(path.join("s.lime"), path.join(&image)).unwrap();
        let beside = named(name, ".lime.artifacts.tar.zst");
        fs::write(path.join(beside), &artifacts).unwrap();
        let (code, out, err) = run(path, &[OsStr::new("info"), &argument(&image)]);
        assert_eq!(code, 0, "{err}");
        let line = out
            .lines()
            .find(|line| line.starts_with("artifacts"))
            .unwrap();
        let (_, command) = line.split_once(" (").unwrap();
        let (code, said) = paste(path, command.strip_suffix(')').unwrap());
        assert_eq!(code, 0, "{line}: {said}");
        assert!(said.contains("proc/version"), "{line}: {said}");
    }
}

/// Every command of this program in the help and in the documentation is one.
#[test]
fn examples_in_the_documentation_are_commands() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut texts = vec![("--help".to_owned(), {
        let folder = tempfile::tempdir().unwrap();
        run(folder.path(), &[OsStr::new("--help")]).1
    })];
    let docs = fs::read_dir(root.join("docs")).unwrap();
    let docs = docs.map(|entry| entry.unwrap().path());
    for path in docs.chain([root.join("README.md")]) {
        if path.extension().is_some_and(|ending| ending == "md") {
            texts.push((
                path.display().to_string(),
                fs::read_to_string(path).unwrap(),
            ));
        }
    }
    let mut seen = 0;
    for (place, text) in &texts {
        for line in text.lines().filter(|line| line.starts_with(' ')) {
            let line = line.trim();
            // Not what is printed, which names the program and a colon.
            if !line.starts_with("linpmem-dump") || line.starts_with("linpmem-dump:") {
                continue;
            }
            let end = line.find(['#', '|', '>', '…', ';']).unwrap_or(line.len());
            let end = line.find("  ").unwrap_or(end).min(end);
            // A file of keys is read by the parser, and there is none here.
            let bare = line[..end].replace("--identity lab-key.txt", "");
            let parsed = Cli::try_parse_from(bare.split_whitespace());
            assert!(parsed.is_ok(), "{place}: {line}: {:?}", parsed.err());
            seen += 1;
        }
    }
    assert!(seen >= 40, "{seen}");
}
