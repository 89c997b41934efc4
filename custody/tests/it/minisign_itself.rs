// SPDX-License-Identifier: MIT OR Apache-2.0
//! minisign checks what we signed, and we check what minisign signed.

use linpmem_custody::signature::{KeyFile, Password, PublicKey, Signature, Subject};
use linpmem_testkit::vouchers::Vouchers;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Output, Stdio};

const MANIFEST: &str = "a.core.manifest.jsonl";

fn minisign(folder: &Path, words: &[&str], typed: &str) -> Output {
    let mut command = Vouchers::open().unwrap().minisign();
    command.args(words).current_dir(folder);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(typed.as_bytes()).unwrap();
    drop(stdin);
    child.wait_with_output().unwrap()
}

fn generate(folder: &Path, words: &[&str], typed: &str) {
    let words = [&["-G", "-p", "key.pub", "-s", "key"], words].concat();
    let output = minisign(folder, &words, typed);
    assert!(output.status.success(), "{output:?}");
}

/// Signs with the key in the folder, and lets minisign check that.
fn is_checked(folder: &Path, password: Option<Password>) {
    fs::write(folder.join(MANIFEST), b"{\"header\":{}}\n").unwrap();
    let key = KeyFile::read(&folder.join("key")).unwrap();
    let key = key.unlock(password).unwrap();
    let subject = Subject {
        image: "Jürgen's.core",
        id: None,
        utc: "2026-01-31T23:59:59Z",
    };
    let signature = key.sign(fs::File::open(folder.join(MANIFEST)).unwrap(), &subject);
    let path = folder.join(format!("{MANIFEST}.minisig"));
    fs::write(&path, signature.unwrap()).unwrap();
    let check = || minisign(folder, &["-V", "-p", "key.pub", "-m", MANIFEST], "");
    let output = check();
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stdout).unwrap();
    let comment = "image:J%C3%BCrgen's.core time:2026-01-31T23:59:59Z";
    assert!(said.contains(comment), "{said}");

    // Neither the manifest nor the comment can be another.
    let whole = fs::read_to_string(&path).unwrap();
    fs::write(&path, whole.replace("2026-01-31", "2026-01-30")).unwrap();
    assert!(!check().status.success());
    fs::write(&path, whole).unwrap();
    fs::write(folder.join(MANIFEST), b"{\"header\":[]}\n").unwrap();
    assert!(!check().status.success());
}

#[test]
fn it_accepts_what_a_key_without_a_password_signed() {
    let folder = tempfile::tempdir().unwrap();
    generate(folder.path(), &["-W"], "");
    is_checked(folder.path(), None);
}

/// This takes minisign, and us, 1 GiB of memory each.
#[test]
fn it_accepts_what_a_key_with_a_password_signed() {
    let folder = tempfile::tempdir().unwrap();
    generate(folder.path(), &[], "correct horse\ncorrect horse\n");
    let locked = || KeyFile::read(&folder.path().join("key")).unwrap();
    assert_eq!(locked().unlocking_bytes(), Some(1 << 30));
    assert!(locked().unlock(None).is_err());
    fs::write(folder.path().join("password"), "correct horse\n").unwrap();
    let password = Password::read(&folder.path().join("password")).unwrap();
    is_checked(folder.path(), Some(password));
}

#[test]
fn what_it_signed_is_accepted_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    generate(folder.path(), &["-W"], "");
    fs::write(path(MANIFEST), b"one").unwrap();
    let sign = ["-S", "-s", "key", "-m", MANIFEST, "-t", "a comment"];
    assert!(minisign(folder.path(), &sign, "").status.success());
    let signature = Signature::read(&path("a.core.manifest.jsonl.minisig")).unwrap();
    let key = PublicKey::of(path("key.pub").to_str().unwrap()).unwrap();
    assert_eq!(signature.key_id(), key.id());
    assert_eq!(signature.check(&key, &b"one"[..]).unwrap(), "a comment");
    let error = signature.check(&key, &b"two"[..]).unwrap_err().to_string();
    assert!(error.contains("does not match"), "{error}");

    // minisign's old kind, for which it has an option.
    let legacy = [&sign[..], &["-l"]].concat();
    assert!(minisign(folder.path(), &legacy, "").status.success());
    let error = Signature::read(&path("a.core.manifest.jsonl.minisig")).unwrap_err();
    assert!(error.to_string().contains("old kind"), "{error}");
}
