// SPDX-License-Identifier: MIT OR Apache-2.0
//! Signatures, timestamps and events: on the command line, from the acquisition to `verify`.

use crate::schema::Schema;
use assert_cmd::Command;
use linpmem_testkit::timestamp_authority::{TimestampAuthority, Traits};
use linpmem_testkit::vouchers::Vouchers;
use predicates::str::contains;
use serde_json::Value;
use std::fs;
use std::path::Path;

/// A key that minisign made without a password, for these tests alone.
const KEY: &str = "untrusted comment: minisign encrypted secret key\n\
RWQAAEIyAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAKiEgMA8J2vky\
cDEYbtouHfM3TV/6Fx/WfF3A33eAVFPBGzMkaCc5H+tEd9dHOsdewR+M7NtcJzU/TqMmiuMuflsqXlB5ThS2\
AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n";
const KEY_ID: &str = "F9DA090F3020212A";

const MANIFEST: &str = "a.core.manifest.jsonl";

fn dump(folder: &Path, words: &[&str]) -> Command {
    let mut command = Command::cargo_bin("linpmem-dump").unwrap();
    // The test has no proxy, and its user no password.
    for variable in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
        command.env_remove(variable);
    }
    command.env_remove("LINPMEM_SIGN_PASSWORD");
    command.current_dir(folder).args(words);
    command
}

/// The document that a command prints, which keeps to the schema.
fn document(folder: &Path, words: &[&str], code: i32) -> Value {
    let words = [words, &["--json"]].concat();
    let output = dump(folder, &words)
        .assert()
        .code(code)
        .get_output()
        .clone();
    let value: Value = serde_json::from_slice(&output.stdout).unwrap();
    let schema = Schema::new(include_str!("../../../docs/json.schema.json"));
    let name = value["format"].as_str().unwrap();
    let name = name.strip_prefix("linpmem-dump ").unwrap();
    schema.check(name, &value).unwrap();
    value
}

/// The words of a conversion of a raw image of two pages in `folder` to a.core.
fn acquisition(folder: &Path) -> Vec<&'static str> {
    fs::write(folder.join("memory"), vec![7; 8192]).unwrap();
    fs::write(folder.join("key"), KEY).unwrap();
    let words = "convert memory a.core --input-layout padded --no-artifacts --progress none";
    words.split(' ').collect()
}

fn acquired(folder: &Path, more: &[&str]) {
    let words = [acquisition(folder).as_slice(), more].concat();
    dump(folder, &words).assert().code(0);
}

fn header(folder: &Path, image: &str) -> Value {
    let path = folder.join(format!("{image}.manifest.jsonl"));
    let text = fs::read_to_string(path).unwrap();
    let first: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    let schema = Schema::new(include_str!("../../../docs/manifest.schema.json"));
    schema.check("header", &first["header"]).unwrap();
    first["header"].clone()
}

fn verify(folder: &Path, more: &[&str], code: i32) -> Value {
    let words = [&["verify", "a.core", "--progress", "none"], more].concat();
    // stderr is JSON by --json alone.
    let words: Vec<&str> = words;
    document(folder, &words, code)
}

fn public_key() -> String {
    let folder = tempfile::tempdir().unwrap();
    acquired(folder.path(), &[]);
    let signed = document(folder.path(), &["sign", "a.core", "--key", "key"], 0);
    assert_eq!(signed["key_id"], KEY_ID);
    signed["public_key"].as_str().unwrap().to_owned()
}

#[test]
fn an_acquisition_is_signed_and_minisign_agrees() {
    let folder = tempfile::tempdir().unwrap();
    let words = acquisition(folder.path());
    let signing = [&words[..], &["--sign-key", "key"]].concat();
    dump(folder.path(), &signing)
        .assert()
        .code(0)
        .stderr(contains(
            "a.core.manifest.jsonl.minisig (key F9DA090F3020212A)",
        ));
    let key = public_key();
    let mut minisign = Vouchers::open().unwrap().minisign();
    minisign.args(["-V", "-P", &key, "-m", MANIFEST]);
    let output = minisign.current_dir(folder.path()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let id = header(folder.path(), "a.core")["image"]["id"].clone();
    let comment = format!("image:a.core id:{} time:2", id.as_str().unwrap());
    assert!(String::from_utf8(output.stdout).unwrap().contains(&comment));

    let good = verify(folder.path(), &["--public-key", &key], 0);
    assert_eq!(good["signature"]["verdict"], "good");
    let unchecked = verify(folder.path(), &[], 0);
    assert_eq!(unchecked["signature"]["verdict"], "not-checked");
    assert_eq!(unchecked["signature"]["key_id"], KEY_ID);
    // Not even the key's name is a secret, but what is in it is.
    let manifest = fs::read_to_string(folder.path().join(MANIFEST)).unwrap();
    assert!(!manifest.contains("RWQAAEIy"));

    // What was signed is not signed again, or with another manifest.
    dump(folder.path(), &["sign", "a.core", "--key", "key"])
        .assert()
        .code(1)
        .stderr(contains("exists already"));
    fs::remove_file(folder.path().join("a.core")).unwrap();
    dump(folder.path(), &words).assert().code(1);
    acquired(folder.path(), &["--force"]);
    assert!(!folder.path().join("a.core.manifest.jsonl.minisig").exists());
    let missing = verify(folder.path(), &["--public-key", &key], 1);
    assert_eq!(missing["signature"]["verdict"], "missing");
    assert_eq!(missing["good"], false);
    assert_eq!(missing["comparison"]["good"], true);
}

#[test]
fn a_bad_key_ends_a_run_before_it_begins() {
    let folder = tempfile::tempdir().unwrap();
    let words = acquisition(folder.path());
    for (content, message) in [
        (None, "No such file"),
        (Some("x"), "not a secret key"),
        (Some(&KEY[..KEY.len() - 20]), "not a secret key"),
    ] {
        let path = folder.path().join("bad");
        match content {
            Some(content) => fs::write(path, content).unwrap(),
            None => assert!(!path.exists()),
        }
        dump(
            folder.path(),
            &[&words[..], &["--sign-key", "bad"]].concat(),
        )
        .assert()
        .code(1)
        .stderr(contains(message));
        assert!(!folder.path().join("a.core").exists());
        assert!(!folder.path().join("a.core.partial").exists());
    }
}

#[test]
fn a_manifest_that_was_changed_is_not_the_one_that_was_signed() {
    let folder = tempfile::tempdir().unwrap();
    acquired(folder.path(), &["--sign-key", "key"]);
    let key = public_key();
    let path = folder.path().join(MANIFEST);
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replacen("\"padded\"", "\"paddeD\"", 1)).unwrap();
    let bad = verify(folder.path(), &["--public-key", &key], 1);
    assert_eq!(bad["signature"]["verdict"], "bad");
    assert_eq!(bad["comparison"]["good"], true);
    // A signature of something else.
    fs::write(&path, text).unwrap();
    fs::write(folder.path().join("a.core.manifest.jsonl.minisig"), "x").unwrap();
    let bad = verify(folder.path(), &["--public-key", &key], 1);
    assert_eq!(bad["signature"]["verdict"], "bad");
    // Nobody said whom to trust, and still it is no signature.
    let bad = verify(folder.path(), &[], 1);
    assert_eq!(bad["signature"]["verdict"], "bad");
    dump(
        folder.path(),
        &["verify", "a.core", "--public-key", "nobody"],
    )
    .assert()
    .code(1)
    .stderr(contains("neither a public key"));
}

#[test]
fn who_acquired_it_is_recorded_and_events_follow() {
    let folder = tempfile::tempdir().unwrap();
    acquired(
        folder.path(),
        &["--operator", "Ada", "--case", "26-7", "--note", "a note"],
    );
    let header = self::header(folder.path(), "a.core");
    let custody = &header["custody"];
    assert_eq!(custody["operator"]["name"], "Ada");
    assert_eq!(custody["operator"]["from"], "option");
    assert_eq!(
        (&custody["case"], &custody["note"]),
        (&"26-7".into(), &"a note".into())
    );
    assert!(custody["clock"]["boottime_ns"].as_u64().unwrap() > 0);
    assert_eq!(header["tool"]["sha256"].as_str().unwrap().len(), 64);
    assert_eq!(custody["source_manifest"], Value::Null);

    let add = ["custody", "add", "a.core", "--event"];
    for event in ["copied", "to the \u{1b}[31mlab"] {
        document(
            folder.path(),
            &[&add[..], &[event, "--operator", "Bob"]].concat(),
            0,
        );
    }
    let shown = document(folder.path(), &["custody", "show", "a.core"], 0);
    assert_eq!(shown["acquired"]["custody"], *custody);
    assert_eq!(shown["events"][1]["event"], "to the \u{1b}[31mlab");
    dump(folder.path(), &["custody", "show", "a.core"])
        .assert()
        .code(0)
        .stdout(contains("to the \u{fffd}[31mlab (Bob, on "));
    let good = verify(folder.path(), &[], 0);
    assert_eq!(good["custody"]["events"], 2);
    assert_eq!(good["custody"]["head_sha256"], shown["head_sha256"]);

    // A converted image says where it comes from, and what had happened until then.
    let words = [
        "convert",
        "a.core",
        "b.lime",
        "--no-artifacts",
        "--progress",
        "none",
    ];
    dump(folder.path(), &words).assert().code(0);
    let source = self::header(folder.path(), "b.lime")["custody"]["source_manifest"].clone();
    assert_eq!(source["name"], MANIFEST);
    assert_eq!(source["sha256"], shown["manifest_sha256"]);
    assert_eq!(source["custody_sha256"], shown["head_sha256"]);

    let path = folder.path().join("a.core.manifest.jsonl.custody");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("copied", "edited")).unwrap();
    let bad = verify(folder.path(), &[], 1);
    assert_eq!(
        (&bad["custody"]["good"], &bad["good"]),
        (&false.into(), &false.into())
    );
    let bad = document(folder.path(), &["custody", "show", "a.core"], 1);
    assert_eq!(bad["events"].as_array().unwrap().len(), 1);
    dump(folder.path(), &[&add[..], &["more"]].concat())
        .assert()
        .code(1)
        .stderr(contains("line 2"));
}

#[test]
fn an_authority_stamps_and_openssl_agrees() {
    let folder = tempfile::tempdir().unwrap();
    acquired(folder.path(), &[]);
    let ours = tempfile::tempdir().unwrap();
    let authority = TimestampAuthority::create(ours.path(), &Traits::default()).unwrap();
    let root = authority.root();
    let root = root.to_str().unwrap();
    let tsr = folder.path().join("a.core.manifest.jsonl.tsr");

    // Not a timestamp, of something else, or not from there: nothing is kept.
    let spoiled: [fn(Vec<u8>) -> Vec<u8>; 3] = [
        |answer| answer[..answer.len() / 2].to_vec(),
        |_| vec![0x30; 300_000],
        |_| Vec::new(),
    ];
    for spoil in spoiled {
        let url = authority.serve(spoil).unwrap();
        dump(folder.path(), &["timestamp", "a.core", "--tsa", &url])
            .assert()
            .code(1);
        assert!(!tsr.exists());
    }
    let url = authority.serve(|answer| answer).unwrap();
    let stamp = ["timestamp", "a.core", "--tsa", &url, "--tsa-ca", root];
    let stamped = document(folder.path(), &stamp, 0);
    assert_eq!(stamped["stamped"]["authority"], "CN=Test \u{202e}TSA");
    authority
        .accepts(&tsr, &folder.path().join(MANIFEST))
        .unwrap();
    let good = verify(folder.path(), &["--tsa-ca", root], 0);
    assert_eq!(good["timestamp"]["verdict"], "good");
    let unchecked = verify(folder.path(), &[], 0);
    assert_eq!(unchecked["timestamp"]["verdict"], "not-checked");
    assert_eq!(
        unchecked["timestamp"]["stamped"]["time"],
        stamped["stamped"]["time"]
    );

    // A stranger's root, and no timestamp at all.
    let others = tempfile::tempdir().unwrap();
    let other = TimestampAuthority::create(others.path(), &Traits::default()).unwrap();
    let other = other.root();
    let bad = verify(folder.path(), &["--tsa-ca", other.to_str().unwrap()], 1);
    assert_eq!(bad["timestamp"]["verdict"], "bad");
    fs::remove_file(&tsr).unwrap();
    let missing = verify(folder.path(), &["--tsa-ca", root], 1);
    assert_eq!(missing["timestamp"]["verdict"], "missing");
}

#[test]
fn a_machine_that_is_cut_off_writes_a_request_and_takes_the_answer() {
    let folder = tempfile::tempdir().unwrap();
    acquired(folder.path(), &[]);
    let ours = tempfile::tempdir().unwrap();
    let authority = TimestampAuthority::create(ours.path(), &Traits::default()).unwrap();
    let timestamp = |more: &[&str], code| {
        let words = [&["timestamp", "a.core"], more].concat();
        document(folder.path(), &words, code)
    };
    for name in ["1", "2"] {
        timestamp(&["--request", name], 0);
        let request = fs::read(folder.path().join(name)).unwrap();
        let answer = authority.answer(&request).unwrap();
        fs::write(folder.path().join(format!("answer {name}")), answer).unwrap();
    }
    dump(
        folder.path(),
        &[
            "timestamp",
            "a.core",
            "--request",
            "1",
            "--reply",
            "answer 2",
        ],
    )
    .assert()
    .code(1)
    .stderr(contains("another request"));
    timestamp(&["--request", "1", "--reply", "answer 1"], 0);
    verify(folder.path(), &[], 0);

    // It is of no use for another image.
    let words = [
        "convert",
        "memory",
        "b.core",
        "--input-layout",
        "padded",
        "--no-artifacts",
    ];
    dump(folder.path(), &words).assert().code(0);
    dump(
        folder.path(),
        &["timestamp", "b.core", "--reply", "answer 1"],
    )
    .assert()
    .code(1)
    .stderr(contains("the manifest has"));
    let [from, to] = ["a", "b"].map(|name| format!("{name}.core.manifest.jsonl.tsr"));
    fs::copy(folder.path().join(from), folder.path().join(to)).unwrap();
    dump(folder.path(), &["verify", "b.core", "--progress", "none"])
        .assert()
        .code(1)
        .stdout(contains("NOT GOOD: the timestamp is of the SHA-256"));
}

#[test]
fn a_pipe_in_the_place_of_a_file_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    acquired(folder.path(), &[]);
    for (ending, field) in [
        ("minisig", "signature"),
        ("tsr", "timestamp"),
        ("custody", "custody"),
    ] {
        let path = folder.path().join(format!("{MANIFEST}.{ending}"));
        let mode = rustix::fs::Mode::RUSR;
        let kind = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, &path, kind, mode, 0).unwrap();
        let bad = verify(folder.path(), &[], 1);
        let reason = bad[field]["reason"].as_str().unwrap();
        assert!(reason.contains("not a regular file"), "{reason}");
        fs::remove_file(path).unwrap();
    }
}

#[test]
fn what_has_no_end_is_not_vouched_for() {
    let folder = tempfile::tempdir().unwrap();
    acquired(folder.path(), &[]);
    let path = folder.path().join(MANIFEST);
    let text = fs::read_to_string(&path).unwrap();
    let (whole, _) = text.trim_end().rsplit_once('\n').unwrap();
    fs::write(&path, format!("{whole}\n")).unwrap();
    for words in [
        &["sign", "a.core", "--key", "key"][..],
        &["custody", "add", "a.core", "--event", "x"],
        &["timestamp", "a.core", "--request", "q"],
    ] {
        dump(folder.path(), words)
            .assert()
            .code(1)
            .stderr(contains("ends early"));
    }
    fs::remove_file(&path).unwrap();
    dump(folder.path(), &["sign", "a.core", "--key", "key"])
        .assert()
        .code(1)
        .stderr(contains("has no manifest next to it"));
}
