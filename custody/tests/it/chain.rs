// SPDX-License-Identifier: MIT OR Apache-2.0
//! Events that follow each other, and what does not.

use linpmem_custody::chain::{Chain, ChainError, Entry, Fault, MAX_EVENT_BYTES, add};
use linpmem_custody::digest::sha256_of;
use linpmem_manifest::{Operator, OperatorFrom, Sha256Sum, Tool};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

const MANIFEST: Sha256Sum = Sha256Sum::new([9; 32]);

fn entry(event: &str) -> Entry {
    Entry {
        previous: MANIFEST,
        time: "2026-01-31T23:59:59.000001Z".to_owned(),
        event: event.to_owned(),
        operator: Operator {
            name: "Ada".to_owned(),
            from: OperatorFrom::Option,
        },
        host: "lab".to_owned(),
        tool: Tool {
            name: "test".to_owned(),
            version: "1".to_owned(),
            sha256: None,
        },
    }
}

fn three(path: &Path) -> String {
    for event in ["copied", "sent\nby \u{202e}post", "received"] {
        add(path, MANIFEST, entry(event)).unwrap();
    }
    fs::read_to_string(path).unwrap()
}

#[test]
fn each_line_has_the_hash_of_the_one_before_as_sha256sum_computes_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("custody");
    assert!(Chain::read(&path, MANIFEST).unwrap().is_none());
    let text = three(&path);
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let (chain, broken) = Chain::read(&path, MANIFEST).unwrap().unwrap();
    assert!(broken.is_none());
    assert_eq!(text.lines().count(), 3);
    assert_eq!(chain.entries.len(), 3);
    assert_eq!(chain.entries[0].previous, MANIFEST);
    assert_eq!(chain.entries[1].event, "sent\nby \u{202e}post");
    for (number, follower) in [(1, chain.entries[1].previous), (3, chain.head)] {
        let script = format!("sed -n {number}p custody | sha256sum");
        let mut command = Command::new("sh");
        command.args(["-c", &script]).current_dir(folder.path());
        let output = String::from_utf8(command.output().unwrap().stdout).unwrap();
        assert_eq!(
            output.split_whitespace().next(),
            Some(&*follower.to_string())
        );
    }
}

#[test]
fn whatever_is_done_to_a_line_shows() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("custody");
    let text = three(&path);
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let fault = |text: &str, manifest| {
        let (chain, broken) = Chain::parse(text.as_bytes(), &path, manifest);
        let Some(ChainError::Broken { line, fault, .. }) = broken else {
            panic!("not broken: {text}");
        };
        assert_eq!(chain.entries.len() + 1, line);
        (line, fault)
    };
    let is_other = |(line, fault): (usize, Fault)| {
        assert!(matches!(fault, Fault::OtherLine { .. }), "{fault}");
        line
    };
    // Changed, taken out, exchanged.
    assert_eq!(
        is_other(fault(&text.replace("copied", "copies"), MANIFEST)),
        2
    );
    assert_eq!(is_other(fault(&[lines[0], lines[2]].concat(), MANIFEST)), 2);
    let exchanged = [lines[0], lines[2], lines[1]].concat();
    assert_eq!(is_other(fault(&exchanged, MANIFEST)), 2);
    // Of another manifest; without its beginning.
    for (text, manifest) in [(&text[..], Sha256Sum::new([8; 32])), (lines[1], MANIFEST)] {
        let (line, fault) = fault(text, manifest);
        assert_eq!(line, 1);
        assert!(matches!(fault, Fault::OtherManifest { .. }), "{fault}");
    }
    // Cut off within a line.
    let whole_bytes = lines[0].len() + lines[1].len();
    let cut = fault(&text[..text.len() - 1], MANIFEST);
    assert_eq!(cut, (3, Fault::NoEnd { whole_bytes }));
    let (line, fault) = fault(&format!("{}\n{}", lines[0], lines[1]), MANIFEST);
    assert_eq!(line, 2);
    assert!(matches!(fault, Fault::NotAnEvent(_)), "{fault}");
    // Every single byte.
    for at in 0..text.len() {
        let mut bytes = text.clone().into_bytes();
        bytes[at] ^= 1;
        let (chain, broken) = Chain::parse(&bytes, &path, MANIFEST);
        let head = sha256_of(lines[2].as_bytes()).unwrap();
        assert!(broken.is_some() || chain.head != head, "{at}");
    }
}

#[test]
fn nothing_is_added_to_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("custody");
    let text = three(&path);
    for wrong in [
        text.replace("copied", "copies"),
        text[..text.len() - 1].to_owned(),
    ] {
        fs::write(&path, &wrong).unwrap();
        assert!(add(&path, MANIFEST, entry("more")).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), wrong);
    }
    fs::write(&path, &text).unwrap();
    let other = Sha256Sum::new([8; 32]);
    assert!(add(&path, other, entry("more")).is_err());
    let long = "x".repeat(MAX_EVENT_BYTES + 1);
    assert!(matches!(
        add(&path, MANIFEST, entry(&long)),
        Err(ChainError::LongEvent(_))
    ));
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
}

#[test]
fn links_pipes_and_files_in_use_are_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("custody");
    let victim = folder.path().join("victim");
    symlink(&victim, &path).unwrap();
    let refused = |path: &Path| add(path, MANIFEST, entry("more")).unwrap_err();
    assert!(matches!(refused(&path), ChainError::NotAFile { .. }));
    assert!(!victim.exists());
    fs::remove_file(&path).unwrap();
    let pipe = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    let kind = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, &path, kind, pipe, 0).unwrap();
    assert!(matches!(refused(&path), ChainError::NotAFile { .. }));
    fs::remove_file(&path).unwrap();
    add(&path, MANIFEST, entry("one")).unwrap();
    let file = fs::File::open(&path).unwrap();
    rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive).unwrap();
    assert!(matches!(refused(&path), ChainError::Busy { .. }));
}
