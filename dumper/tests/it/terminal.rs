// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whatever a file says, a terminal only shows it.

use crate::fake::{Fake, range};
use crate::hostile_files::{IMAGE, Zip};
use linpmem_capture::source::Source;
use linpmem_phys::Errno;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// What a terminal would obey: escapes, controls of both kinds, directions, and characters
/// that are not shown.
const EVIL: &str = "\u{1b}[2J\u{1b}]0;x\u{7}\r\u{7f}\u{9b}31m\u{202e}\u{2066}\u{200f}\u{61c}\u{200b}\u{feff}\u{2028}";

fn run(folder: &Path, words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_linpmem-dump"))
        .current_dir(folder)
        .args(words)
        .output()
        .unwrap()
}

/// Every command on `image`, as text and as JSON, but for those whose stdout is memory.
fn check(folder: &Path, image: &str) {
    let commands: [&[&str]; 10] = [
        &["info", image],
        &["ls", image],
        &["verify", image, "--progress=none"],
        &["compare", image, image],
        &["convert", image, "out.core", "--progress=none", "--force"],
        &["extract", image, "part", "--range", "0-0xfff"],
        &["extract", image, "part", "--file", EVIL],
        &["symbols", image, "-o", "symbols.json", "--force"],
        &["recover", image, "recovered.aff4"],
        &["custody", "show", image],
    ];
    for words in commands {
        for json in [&[][..], &["--json"]] {
            let output = run(folder, &[words, json].concat());
            let both = [output.stdout, output.stderr].concat();
            let said = String::from_utf8(both).unwrap();
            let harmful = |char: &char| {
                EVIL.contains(*char) && !is_plain(*char)
                    || char.is_control() && !"\n\t".contains(*char)
            };
            assert_eq!(
                said.chars().find(harmful),
                None,
                "{words:?} {json:?}: {said:?}"
            );
            for left in ["part", "recovered.aff4"] {
                // It is not always there.
                let _ = fs::remove_file(folder.join(left));
            }
        }
    }
}

/// The parts of [`EVIL`] that are harmless alone.
fn is_plain(char: char) -> bool {
    (' '..='~').contains(&char)
}

/// Appends [`EVIL`] to every text in `value` but for those in `kept`, which readers need.
fn poison(value: &mut Value, kept: &[&str]) {
    match value {
        Value::String(text) if is_free(text) => text.push_str(EVIL),
        Value::Array(list) => list.iter_mut().for_each(|item| poison(item, kept)),
        Value::Object(map) => {
            for (key, item) in map {
                if !kept.contains(&key.as_str()) {
                    poison(item, kept);
                }
            }
        }
        _ => {}
    }
}

/// Whether a text is not an address, a digest or a UUID, which have a form of their own.
fn is_free(text: &str) -> bool {
    let is_digit = |it: u8| it.is_ascii_hexdigit() || it == b'-';
    let is_digest = text.len() >= 32 && text.bytes().all(is_digit);
    !is_digest && !text.starts_with("0x")
}

/// Texts of a manifest that are one of a few words.
const WORDS: [&str; 12] = [
    "from",
    "format",
    "raw_layout",
    "compression",
    "state",
    "place",
    "algorithm",
    "utc",
    "way",
    "artifacts_file",
    "errno",
    "file",
];

/// What the program records of a run, but for these tests.
fn custody() -> Value {
    json!({
        "operator": { "name": "Ada", "from": "option" },
        "case": "26-7",
        "note": "a note",
        "clock": {
            "boottime_ns": 1,
            "timezone": "UTC",
            "synchronised": false,
            "max_error_us": null
        },
        "source_manifest": { "name": "old", "sha256": "00".repeat(32) }
    })
}

fn acquired(folder: &Path, name: &str) -> PathBuf {
    let memory = Fake {
        refused: vec![(range(0x2000, 0x2fff), Errno::EIO)],
        with_artifacts: true,
        ..Fake::default()
    };
    let mut source: Source = memory.clone().source();
    source.machine.vmcoreinfo = Some(
        format!(
            "OSRELEASE=6.1{EVIL}\nBUILD-ID=00{EVIL}\nKERNELOFFSET={EVIL}\nSYMBOL(x)={EVIL}\n\
             PAGESIZE=4096\n"
        )
        .replace("\r", "")
        .into_bytes(),
    );
    source.warnings.push(format!("odd{EVIL}"));
    source.record.path = format!("/dev/{EVIL}");
    let words = [name, "--range", "0-0x8fffff", "--include-reserved"];
    let notes = ["--notes", EVIL, "--examiner", EVIL, "--case-name", EVIL];
    let words = match name.ends_with(".aff4") {
        true => [&words[..], &notes].concat(),
        false => words.to_vec(),
    };
    crate::fake::acquire_source(folder, &words, source).unwrap();
    folder.join(name)
}

#[test]
fn manifests_notes_and_properties_are_only_shown() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a.core", "b.aff4", "c.lime", "d.kdump"] {
        let image = acquired(folder.path(), name);
        let path = folder.path().join(format!("{name}.manifest.jsonl"));
        let lines = fs::read_to_string(&path).unwrap();
        let poisoned = lines.lines().map(|line| {
            let mut line: Value = serde_json::from_str(line).unwrap();
            if let Some(header) = line.get_mut("header") {
                header["custody"] = custody();
            }
            poison(&mut line, &WORDS);
            line.to_string() + "\n"
        });
        fs::write(&path, poisoned.collect::<String>()).unwrap();
        // It still is a manifest, so that what it says is shown.
        linpmem_manifest::read(&path).unwrap();
        let info = run(folder.path(), &["info", name]);
        let said = String::from_utf8(info.stdout).unwrap();
        assert!(
            info.status.success() && said.contains("\u{fffd}[2J"),
            "{name}: {said}"
        );
        check(folder.path(), name);
        fs::remove_file(image).unwrap();
    }
}

#[test]
fn descriptions_and_the_names_of_members_are_only_shown() {
    let folder = tempfile::tempdir().unwrap();
    let escaped: String = EVIL
        .chars()
        .map(|char| format!("\\u{:04X}", u32::from(char)))
        .collect();
    let mut zip = Zip::with_map();
    zip.stored(&format!("etc/{EVIL}"), b"x");
    zip.stored(&format!("twice{EVIL}"), b"x");
    zip.stored(&format!("twice{EVIL}"), b"y");
    zip.stored(
        "vmcoreinfo",
        format!("OSRELEASE=6.1{}\n", EVIL.replace('\r', "")).as_bytes(),
    );
    let turtle = format!(
        "{IMAGE}<aff4://v/i> :notes \"{escaped}\" ; <p{escaped}> \"{escaped}\" ; \
         :hash \"{escaped}\"^^:SHA1 ; :x{} \"y\" .\n\
         <aff4://v/map> :hash \"{escaped}\"^^:SHA1 ; <q{escaped}> \"{escaped}\"^^:MD5 .\n\
         <aff4://v/etc/{escaped}> a :FileImage ; :originalFileName \"/etc/{escaped}\" ; \
         :size 1 ; :hash \"{escaped}\"^^:SHA1 .\n",
        "y"
    );
    fs::write(folder.path().join("a.aff4"), zip.finish(&turtle)).unwrap();
    let listed = run(folder.path(), &["ls", "a.aff4"]);
    let said = String::from_utf8(listed.stdout).unwrap();
    assert!(
        said.contains("etc/\u{fffd}[2J"),
        "{said} {:?}",
        listed.stderr
    );
    check(folder.path(), "a.aff4");
    // Its errors quote what they are about.
    let broken = format!("{IMAGE}<aff4://v/map> a :{escaped} ; .. \"{escaped}");
    fs::write(
        folder.path().join("b.aff4"),
        Zip::with_map().finish(&broken),
    )
    .unwrap();
    check(folder.path(), "b.aff4");
}

#[test]
fn the_name_of_a_file_is_only_shown() {
    let folder = tempfile::tempdir().unwrap();
    let name = format!("a{EVIL}.lime");
    fs::write(folder.path().join(&name), crate::hostile_files::lime(3)).unwrap();
    check(folder.path(), &name);
    check(folder.path(), &format!("missing{EVIL}"));
}
