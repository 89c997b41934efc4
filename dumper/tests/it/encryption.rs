// SPDX-License-Identifier: MIT OR Apache-2.0
//! Encrypted images: on the command line, in every format, and whatever ends the run.

use crate::fake::{Fake, page, range};
use crate::schema::Schema;
use assert_cmd::Command;
use linpmem_manifest::State;
use linpmem_phys::Errno;
use predicates::str::contains;
use serde_json::Value;
use std::fs::{self, File};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

/// A pair of keys for these tests alone, and the public key of another.
pub const PUBLIC: &str = "age1sfznr2ewss302evn5jqwqzfzzkp6e7vf3ylqzrarcwafwt0zm94shaaapf";
pub const PRIVATE: &str =
    "AGE-SECRET-KEY-13DKR5E3PVXESYSX54GTRTXR5MQLA86AECPMT6R3K8TR907PUXJFQJDDRGQ";
pub const OTHER_PRIVATE: &str =
    "AGE-SECRET-KEY-1QCH0UVSUP24A3WLLM9MN9V6LRM04UQE52PVW97LMECZEYMMFSP7SSF2CK2";

pub const FORMATS: [&str; 9] = [
    "a.core",
    "a.core.zst",
    "a.raw",
    "a.padded",
    "a.lime",
    "a.lime.lz4",
    "a.aff4",
    "a.kdump",
    "a.avml",
];

pub fn dump(folder: &Path, words: &[&str]) -> Command {
    let mut command = Command::cargo_bin("linpmem-dump").unwrap();
    command.current_dir(folder).args(words);
    command
}

/// The document that a command prints, which keeps to the schema.
pub fn document(folder: &Path, words: &[&str], code: i32) -> Value {
    let words = [words, &["--json"]].concat();
    let assert = dump(folder, &words).assert().code(code);
    let value: Value = serde_json::from_slice(&assert.get_output().stdout).unwrap();
    let schema = Schema::new(include_str!("../../../docs/json.schema.json"));
    let name = value["format"].as_str().unwrap();
    schema
        .check(name.strip_prefix("linpmem-dump ").unwrap(), &value)
        .unwrap();
    value
}

pub fn keys(folder: &Path) {
    fs::write(folder.join("key.txt"), format!("# a key\n{PRIVATE}\n")).unwrap();
    fs::write(folder.join("other.txt"), OTHER_PRIVATE).unwrap();
}

pub fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "key.txt" && name != "other.txt")
        .collect();
    names.sort();
    names
}

/// Memory of [`Fake`], as a file that is not encrypted would have it, and what only this
/// machine's artifacts have.
const PLAIN: [&[u8]; 4] = [
    b"; page 301 at ",
    b"page 1201 at ",
    b"Linux version",
    b"manifest_version",
];

/// Whether a file in `folder` has something in it that should be encrypted. Temporary files have
/// no names, but are open.
pub fn plaintext(folder: &Path) -> Option<String> {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let bytes = fs::read(&path).unwrap_or_default();
        let has = |what: &&[u8]| bytes.windows(what.len()).any(|at| at == *what);
        if let Some(found) = PLAIN.iter().find(|what| has(what)) {
            let found = String::from_utf8_lossy(found);
            return Some(format!("{found:?} in {}", path.display()));
        }
    }
    None
}

/// All below 9 MiB: the zeros of holes are as long as any other bytes.
pub const LOW: [&str; 2] = ["--range", "0-0x8fffff"];

pub fn fake() -> Fake {
    Fake {
        refused: vec![(range(0x20_0000, 0x20_0fff), Errno::EIO)],
        with_artifacts: true,
        ..Fake::default()
    }
}

#[test]
fn every_format_is_written_encrypted_and_every_command_reads_it() {
    for name in FORMATS {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        keys(folder);
        // Those of this machine take long to collect: once for each place that they can have.
        let with_artifacts = ["a.core", "a.aff4", "a.lime"].contains(&name);
        let fake = Fake {
            with_artifacts,
            ..fake()
        };
        let words = [&[name, "--encrypt-to", PUBLIC], &LOW[..]].concat();
        let summary = fake.acquire(folder, &words).unwrap();
        assert_eq!(
            summary.acquired.state,
            State::CompleteWithUnreadable,
            "{summary}"
        );
        let mut expected = vec![
            format!("{name}.age"),
            format!("{name}.age.json"),
            format!("{name}.age.sha256"),
            format!("{name}.manifest.jsonl.age"),
        ];
        let has_file = name == "a.lime";
        if has_file {
            expected.insert(0, format!("{name}.artifacts.tar.zst.age"));
            expected.sort();
        }
        assert_eq!(names(folder), expected);
        assert_eq!(plaintext(folder), None);

        let encrypted = format!("{name}.age");
        let key = ["--identity", "key.txt"];
        let good = document(
            folder,
            &[
                &["verify", &encrypted, "--full", "--progress=none"],
                &key[..],
            ]
            .concat(),
            0,
        );
        assert_eq!(good["good"], true, "{name}: {good}");
        assert_eq!(good["not_compared"], Value::Null);
        let files = if has_file { 3 } else { 2 };
        assert_eq!(good["encrypted"]["files"].as_array().unwrap().len(), files);
        if with_artifacts {
            let ls = document(folder, &[&["ls", &encrypted], &key[..]].concat(), 0);
            let ls = ls.to_string();
            assert!(ls.contains("proc/kallsyms"), "{name}: {ls}");
        }
        document(folder, &[&["info", &encrypted], &key[..]].concat(), 0);

        // To a plain image, and to an encrypted one of another format.
        let words = ["convert", &encrypted, "plain.core", "--progress=none"];
        dump(folder, &[&words[..], &key].concat()).assert().code(3);
        let words = [
            "convert",
            &encrypted,
            "b.aff4",
            "--progress=none",
            "--recipients",
            "list",
        ];
        fs::write(folder.join("list"), format!("# lab\n{PUBLIC}\n")).unwrap();
        dump(folder, &[&words[..], &key].concat()).assert().code(3);
        for other in ["plain.core", "b.aff4.age"] {
            let words = ["compare", &encrypted, other];
            dump(folder, &[&words[..], &key].concat()).assert().code(0);
        }
        dump(folder, &["verify", "plain.core", "--progress=none"])
            .assert()
            .code(0);
        let words = [
            "extract",
            &encrypted,
            "part",
            "--range",
            "0x12d800-0x12dfff",
        ];
        dump(folder, &[&words[..], &key].concat()).assert().code(0);
        assert!(
            fs::read(folder.join("part")).unwrap() == page(0x12_d000)[0x800..],
            "{name}"
        );
    }
}

/// While it runs as well: everything that has a name, and what is open without one.
#[test]
fn nothing_is_on_the_disk_that_is_not_encrypted() {
    for name in ["a.core", "a.lime", "a.aff4"] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        fs::write(
            path.join("added"),
            b"manifest_version, in a file that is added",
        )
        .unwrap();
        let added = fs::read(path.join("added")).unwrap();
        let elsewhere = tempfile::NamedTempFile::new().unwrap();
        fs::write(elsewhere.path(), added).unwrap();
        fs::remove_file(path.join("added")).unwrap();
        let fake = Fake {
            delay: Duration::from_millis(10),
            ..fake()
        };
        let add = elsewhere.path().display().to_string();
        let words = [name, "--encrypt-to", PUBLIC, "--add", &add];
        std::thread::scope(|scope| {
            let run = scope.spawn(|| fake.acquire(path, &words).unwrap());
            let mut looks = 0;
            while !run.is_finished() {
                assert_eq!(plaintext(path), None);
                for link in fs::read_dir("/proc/self/fd").unwrap() {
                    let Ok(target) = fs::read_link(link.unwrap().path()) else {
                        continue;
                    };
                    // A file without a name in the folder.
                    let is_unnamed =
                        target.starts_with(path) && target.to_string_lossy().ends_with("(deleted)");
                    assert!(!is_unnamed, "{}", target.display());
                }
                looks += 1;
                std::thread::sleep(Duration::from_millis(5));
            }
            assert!(looks > 3, "{looks}");
            run.join().unwrap();
        });
        assert_eq!(plaintext(path), None);
    }
}

#[test]
fn without_the_key_the_sums_are_checked_and_no_more_is_promised() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    keys(folder);
    let words = [&["a.lime", "--encrypt-to", PUBLIC], &LOW[..]].concat();
    fake().acquire(folder, &words).unwrap();
    let words = ["verify", "a.lime.age", "--progress=none"];
    let good = document(folder, &words, 0);
    assert_eq!(good["comparison"], Value::Null);
    let said = good["not_compared"].as_str().unwrap();
    assert!(said.contains("was not checked"), "{said}");
    assert_eq!(good["encrypted"]["recipients"][0], PUBLIC);
    assert_eq!(good["encrypted"]["files"].as_array().unwrap().len(), 3);
    dump(folder, &words)
        .assert()
        .code(0)
        .stdout(contains("was not checked"));
    let check = std::process::Command::new("sha256sum")
        .args(["-c", "a.lime.age.sha256"])
        .current_dir(folder)
        .stdout(Stdio::null())
        .status();
    assert!(check.unwrap().success());
    for file in [
        "a.lime.age",
        "a.lime.manifest.jsonl.age",
        "a.lime.artifacts.tar.zst.age",
    ] {
        let path = folder.join(file);
        crate::fake::flip(&path, 700);
        let bad = document(folder, &words, 1);
        let lines = bad["encrypted"]["files"].as_array().unwrap();
        let line = lines.iter().find(|line| line["path"] == file).unwrap();
        assert_eq!(line["good"], false, "{file}");
        crate::fake::flip(&path, 700);
    }
    fs::remove_file(folder.join("a.lime.age.json")).unwrap();
    dump(folder, &words)
        .assert()
        .code(1)
        .stderr(contains("--identity"));
}

#[test]
fn without_the_right_key_every_command_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    keys(folder);
    let words = ["a.core", "--encrypt-to", PUBLIC];
    Fake::default().acquire(folder, &words).unwrap();
    let commands: [&[&str]; 8] = [
        &["info", "a.core.age"],
        &["ls", "a.core.age"],
        &["extract", "a.core.age", "part", "--range", "0x1000+4096"],
        &["extract", "a.core.age", "part", "--file", "proc/version"],
        &["compare", "a.core.age", "a.core.age"],
        &["convert", "a.core.age", "b.core", "--progress=none"],
        &["symbols", "a.core.age"],
        &["recover", "a.core.age"],
    ];
    for words in commands {
        dump(folder, words)
            .assert()
            .code(1)
            .stderr(contains("by --identity"));
        let words = [words, &["--identity", "other.txt"]].concat();
        dump(folder, &words)
            .assert()
            .code(1)
            .stderr(contains("none of the private keys"));
    }
    let words = [
        "verify",
        "a.core.age",
        "--identity",
        "other.txt",
        "--progress=none",
    ];
    dump(folder, &words)
        .assert()
        .code(1)
        .stderr(contains("none of the private keys"));
    assert!(!folder.join("part").exists() && !folder.join("b.core").exists());
    let words = ["info", "a.core.age", "--identity", "nothing.txt"];
    dump(folder, &words)
        .assert()
        .code(2)
        .stderr(contains("nothing.txt: No such file"));
}

#[test]
fn what_makes_no_sense_with_encryption_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    keys(folder);
    fs::write(folder.join("memory"), vec![7; 8192]).unwrap();
    let to = ["--encrypt-to", PUBLIC];
    let convert = [
        "convert",
        "memory",
        "a.core",
        "--input-layout=padded",
        "--progress=none",
    ];
    let cases: [(Vec<&str>, &str); 8] = [
        (
            [&["a.core", "--second-pass"], &to[..]].concat(),
            "--second-pass",
        ),
        ([&["a.core", "--symbols"], &to[..]].concat(), "--symbols"),
        (
            [&convert[..], &["--read-back"], &to].concat(),
            "--read-back",
        ),
        (
            [&["--to", "linpmem://lab:4444#x"], &to[..]].concat(),
            "address",
        ),
        (vec!["a.core.age"], "--encrypt-to"),
        (vec!["-", "--manifest", "m.jsonl.age"], "--encrypt-to"),
        (
            [&convert[..], &["--encrypt-to", PRIVATE]].concat(),
            "private key",
        ),
        (vec!["a.core", "--identity", "key.txt"], "--identity"),
    ];
    for (words, said) in cases {
        let assert = dump(folder, &words).assert().code(2).stderr(contains(said));
        let stderr = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
        assert!(!stderr.contains(PRIVATE), "{stderr}");
    }
    assert_eq!(names(folder), ["memory"]);
}

/// Names that are taken are found before the run.
#[test]
fn nothing_is_replaced_unless_it_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let words = ["a.lime", "--encrypt-to", PUBLIC, LOW[0], LOW[1]];
    for name in [
        "a.lime.age",
        "a.lime.age.json",
        "a.lime.manifest.jsonl.age",
        "a.lime.age.sha256",
    ] {
        fs::write(folder.join(name), "kept").unwrap();
        let error = Fake::default()
            .acquire(folder, &words)
            .unwrap_err()
            .to_string();
        assert!(error.contains(name) && error.contains("--force"), "{error}");
        assert_eq!(names(folder), [name]);
        assert_eq!(fs::read(folder.join(name)).unwrap(), b"kept");
        Fake::default()
            .acquire(folder, &[&words[..], &["--force"]].concat())
            .unwrap();
        for name in names(folder) {
            fs::remove_file(folder.join(name)).unwrap();
        }
    }
}

#[test]
fn a_stream_is_encrypted_too() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    keys(folder);
    Fake::default().acquire(folder, &["memory.lime"]).unwrap();
    for name in ["a.core", "a.lime", "a.aff4"] {
        let format = name.strip_prefix("a.").unwrap().replace("core", "elf");
        let out = File::create(folder.join(format!("{name}.age"))).unwrap();
        let status = std::process::Command::new(env!("CARGO_BIN_EXE_linpmem-dump"))
            .args([
                "convert",
                "memory.lime",
                "-",
                "--format",
                &format,
                "--encrypt-to",
                PUBLIC,
            ])
            .args([
                "--manifest",
                &format!("{name}.manifest.jsonl"),
                "--progress=none",
            ])
            .current_dir(folder)
            .stdout(out)
            .stderr(Stdio::null())
            .status();
        assert!(status.unwrap().success(), "{name}");
        let encrypted = format!("{name}.age");
        let key = ["--identity", "key.txt"];
        let words = [&["verify", &encrypted, "--progress=none"], &key[..]].concat();
        assert_eq!(document(folder, &words, 0)["good"], true);
        let words = [&["compare", &encrypted, "memory.lime"], &key[..]].concat();
        dump(folder, &words).assert().code(0);
        let manifest = format!("{name}.manifest.jsonl.age");
        let words = [
            "verify",
            &encrypted,
            "--manifest",
            &manifest,
            "--progress=none",
        ];
        let good = document(folder, &words, 0);
        assert_eq!(good["encrypted"]["files"].as_array().unwrap().len(), 2);
    }
}

#[test]
fn what_was_changed_is_named_by_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    keys(folder);
    Fake::default()
        .acquire(folder, &["a.lime", "--encrypt-to", PUBLIC])
        .unwrap();
    crate::fake::flip(&folder.join("a.lime.age"), 5 << 20);
    let words = [
        "verify",
        "a.lime.age",
        "--identity",
        "key.txt",
        "--progress=none",
    ];
    let found = document(folder, &words, 1).to_string();
    assert!(found.contains("cannot be authenticated"), "{found}");
    let words = [
        "convert",
        "a.lime.age",
        "b.core",
        "--identity",
        "key.txt",
        "--progress=none",
    ];
    let assert = dump(folder, &words).assert().code(3);
    let stderr = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
    assert!(
        stderr.contains("16 pages") || stderr.contains("17 pages"),
        "{stderr}"
    );
}

/// The key that vouches covers what anybody can check: the encrypted manifest.
#[cfg(feature = "sign")]
#[test]
fn signatures_and_events_are_of_the_encrypted_manifest() {
    const KEY: &str = "untrusted comment: minisign encrypted secret key\n\
RWQAAEIyAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAKiEgMA8J2vky\
cDEYbtouHfM3TV/6Fx/WfF3A33eAVFPBGzMkaCc5H+tEd9dHOsdewR+M7NtcJzU/TqMmiuMuflsqXlB5ThS2\
AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n";
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    keys(folder);
    fs::write(folder.join("sign.key"), KEY).unwrap();
    fs::write(folder.join("memory"), vec![7; 8192]).unwrap();
    let convert = "convert memory a.core --input-layout padded --no-artifacts --progress none";
    let convert: Vec<&str> = convert.split(' ').collect();
    let more = ["--encrypt-to", PUBLIC, "--sign-key", "sign.key"];
    dump(folder, &[&convert, &more[..]].concat())
        .assert()
        .code(0);
    let signed = document(
        folder,
        &["sign", "a.core.age", "--key", "sign.key", "--force"],
        0,
    );
    assert_eq!(signed["signature"], "a.core.manifest.jsonl.age.minisig");
    let comment = signed["trusted_comment"].as_str().unwrap();
    assert!(comment.starts_with("image:a.core.age id:"), "{comment}");
    let public = signed["public_key"].as_str().unwrap().to_owned();
    document(
        folder,
        &["custody", "add", "a.core.age", "--event", "received"],
        0,
    );
    let shown = document(folder, &["custody", "show", "a.core.age"], 0);
    assert_eq!(shown["acquired"], Value::Null);
    assert_eq!(shown["events"].as_array().unwrap().len(), 1);
    let verify = [
        "verify",
        "a.core.age",
        "--public-key",
        &public,
        "--progress=none",
    ];
    let with_key = [&verify[..], &["--identity", "key.txt"]].concat();
    for words in [&verify[..], &with_key] {
        let good = document(folder, words, 0);
        assert_eq!(good["signature"]["verdict"], "good", "{good}");
        assert_eq!(good["custody"]["good"], true);
    }
    crate::fake::flip(&folder.join("a.core.manifest.jsonl.age"), 30);
    let bad = document(folder, &verify, 1);
    assert_eq!(bad["signature"]["verdict"], "bad", "{bad}");
    dump(
        folder,
        &["sign", "a.core.age", "--key", "sign.key", "--force"],
    )
    .assert()
    .code(1)
    .stderr(contains("another manifest"));
}
