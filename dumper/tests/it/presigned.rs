// SPDX-License-Identifier: MIT OR Apache-2.0
//! Images that are stored by a machine without credentials, with a bundle of requests that
//! another machine has signed, to a real server that checks the signatures.

use crate::json::keeps_to;
use crate::stores::{Place, code, is_equal, is_untouched, said, summary};
use linpmem_testkit::stores::S3_KEYS;
use linpmem_testkit::troubled_line::{TroubledLine, every_kind};
use serde_json::Value;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};
use std::time::Duration;

const ADDRESS: &str = "s3://bucket/case 1/x.core";

/// What the analyst types, into a new file `name`.
fn presign(place: &Place, address: &str, name: &str, words: &[&str]) -> Output {
    let output = format!("../{name}");
    let presign = ["presign", address, "--json", "--output", &output];
    let parts = ["--part-size", "5MiB", "--size", "25MiB"];
    let has_size = words.contains(&"--size");
    let parts = if has_size { &parts[..0] } else { &parts[..] };
    let words = [&presign, parts, words].concat();
    place.command(&words).output().unwrap()
}

/// A bundle for [`ADDRESS`] in the file `bundle.json`.
fn bundle(place: &Place, words: &[&str]) -> Value {
    let made = presign(place, ADDRESS, "bundle.json", words);
    code(&made, 0);
    let document: Value = serde_json::from_slice(&made.stdout).unwrap();
    keeps_to("presign", &document);
    document
}

/// A machine that has nothing but the bundle in the file `name`.
fn target(place: &Place, name: &str, words: &[&str]) -> Command {
    let to = format!("@../{name}");
    let run = ["--source", "file:../a.core", "--json", "--to", &to];
    let quiet = ["--progress", "none", "--format", "elf"];
    let mut command = place.command(&[&run[..], &quiet, words].concat());
    for (name, _) in std::env::vars() {
        if name.starts_with("AWS_") {
            command.env_remove(name);
        }
    }
    for name in [
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_ENDPOINT_URL",
    ] {
        command.env_remove(name);
    }
    command.env("AWS_EC2_METADATA_DISABLED", "true");
    command
}

fn sent(place: &Place, words: &[&str]) -> Output {
    target(place, "bundle.json", words).output().unwrap()
}

fn text(place: &Place) -> String {
    fs::read_to_string(place.path("bundle.json")).unwrap()
}

fn refused(run: &Output, expected: &str) {
    code(run, 1);
    let said = said(run);
    assert!(said.contains(expected), "{said}");
    assert!(!said.contains("Signature="), "{said}");
}

/// The same, of a run that has not read memory: then there is no summary of it.
fn refused_at_once(run: &Output, expected: &str) {
    refused(run, expected);
    let said = said(run);
    let last: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    assert_eq!(last["event"], "error", "{said}");
}

#[test]
fn a_machine_without_credentials_stores_an_image_and_all_that_belongs_to_it() {
    let (place, _s3) = Place::with_s3();
    fs::create_dir(place.path("store/bucket/case 1")).unwrap();
    let document = bundle(&place, &["--expires", "2h"]);
    assert_eq!(document["parts"], 5);
    assert_eq!(document["until"], "as-asked");
    let mode = fs::metadata(place.path("bundle.json"))
        .unwrap()
        .permissions();
    assert_eq!(mode.mode() & 0o777, 0o600);
    assert!(!text(&place).contains(S3_KEYS[1]));

    let run = sent(&place, &[]);
    code(&run, 0);
    let summary = summary(&run);
    assert_eq!(summary["store"]["complete"], true);
    // The trial is no part of the image.
    assert_eq!(summary["store"]["parts"], 4);
    is_untouched(&place);
    is_equal(&place, "case 1/x.core");
    code(&place.verify(ADDRESS, &[]), 0);
    for ending in ["", ".manifest.jsonl", ".sha256"] {
        let path = place.path(&format!("store/bucket/case 1/x.core{ending}"));
        let stored = String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
        assert!(!stored.contains("X-Amz-Signature"));
    }
    assert!(!said(&run).contains("Signature"));

    // It is good for one image.
    refused_at_once(&sent(&place, &[]), "exists: the bundle was used already");
    let again = presign(&place, ADDRESS, "again.json", &[]);
    refused(&again, "nothing is ever replaced");
    assert!(!place.path("again.json").exists());
}

#[test]
fn artifacts_of_any_size_are_stored_with_an_image() {
    let (place, _s3) = Place::with_s3();
    let made = presign(&place, "s3://bucket/x.raw", "bundle.json", &[]);
    code(&made, 0);
    // Larger than what other stores take by one request.
    let noise: Vec<u8> = (0_u32..3 << 20)
        .flat_map(|word| {
            word.wrapping_mul(2_654_435_761)
                .rotate_left(word % 31)
                .to_le_bytes()
        })
        .collect();
    fs::write(place.path("noise"), noise).unwrap();
    let words = [
        "--format",
        "raw",
        "--source",
        "file:../a.core",
        "--add",
        "../noise",
    ];
    let run = ["--to", "@../bundle.json", "--json", "--progress", "none"];
    let run = place
        .command(&[&words[..], &run].concat())
        .output()
        .unwrap();
    code(&run, 0);
    let artifacts = fs::metadata(place.path("store/bucket/x.raw.artifacts.tar.zst")).unwrap();
    assert!(artifacts.len() > 8 << 20, "{}", artifacts.len());
    code(&place.verify("s3://bucket/x.raw", &[]), 0);
}

#[test]
fn a_bundle_that_is_no_longer_good_is_refused_before_memory_is_read() {
    let (place, _s3) = Place::with_s3();
    let command = bundle(&place, &["--expires", "1s"]);
    std::thread::sleep(Duration::from_secs(3));
    refused_at_once(&sent(&place, &[]), "the bundle has expired: make a new one");
    assert!(
        command["removal"]
            .as_str()
            .unwrap()
            .contains("abort-multipart-upload")
    );

    // The store checks what was signed.
    fs::remove_file(place.path("bundle.json")).unwrap();
    bundle(&place, &[]);
    let good = text(&place);
    for changed in [
        good.replace("X-Amz-Expires=86400", "X-Amz-Expires=86401"),
        good.replace("case%201/x.core", "case%201/y.core"),
        good.replace("uploadId=", "uploadId=0"),
    ] {
        assert_ne!(changed, good);
        fs::write(place.path("bundle.json"), &changed).unwrap();
        refused_at_once(&sent(&place, &[]), "403 (SignatureDoesNotMatch)");
        refused(&sent(&place, &[]), "the bundle was changed");
    }
    assert!(place.stored().is_empty(), "{:?}", place.stored());

    // None of these has spent it.
    fs::write(place.path("bundle.json"), &good).unwrap();
    code(&sent(&place, &[]), 0);
}

#[test]
fn an_image_larger_than_its_bundle_is_refused_before_memory_is_read() {
    let (place, _s3) = Place::with_s3();
    bundle(&place, &["--part-size", "5MiB", "--size", "15MiB"]);
    refused_at_once(&sent(&place, &[]), "presign --size 1GiB");
    assert_eq!(place.parts(), 0);
    // It is known how large the parts are.
    code(&sent(&place, &["--part-size", "8MiB"]), 2);
}

#[test]
fn an_upload_that_was_removed_is_named() {
    let (place, _s3) = Place::with_s3();
    bundle(&place, &[]);
    for entry in fs::read_dir(place.path("store")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            fs::remove_file(path).unwrap();
        }
    }
    let run = sent(&place, &[]);
    refused_at_once(&run, "used already");
}

/// Its holder need not use it with this program.
#[test]
fn the_holder_of_a_bundle_replaces_nothing() {
    let (place, s3) = Place::with_s3();
    bundle(&place, &[]);
    let signed: Value = serde_json::from_str(&text(&place)).unwrap();
    code(&sent(&place, &[]), 0);
    let before = fs::read(place.path("store/bucket/case 1/x.core.sha256")).unwrap();
    let put = signed["objects"]["case 1/x.core.sha256"]["put"]
        .as_str()
        .unwrap();
    let head = signed["objects"]["case 1/x.core.sha256"]["head"]
        .as_str()
        .unwrap();
    let new_only = "If-None-Match: *\r\n";
    for (verb, url, header, status) in [
        ("PUT", put, "", "403"),
        ("PUT", put, "If-None-Match: x\r\n", "403"),
        ("PUT", put, new_only, "412"),
        ("PUT", head, new_only, "403"),
        ("GET", head, "", "403"),
        ("DELETE", head, "", "403"),
        ("HEAD", head, "", "200"),
        ("POST", signed["complete"].as_str().unwrap(), "", "403"),
    ] {
        let found = asked(s3.address(), verb, url, header);
        assert_eq!(found, status, "{verb} {header}");
    }
    let after = fs::read(place.path("store/bucket/case 1/x.core.sha256")).unwrap();
    assert_eq!(after, before);
}

/// The status with which the server answers.
fn asked(server: SocketAddr, verb: &str, url: &str, header: &str) -> String {
    let path = url.strip_prefix(&format!("http://{server}")).unwrap();
    let length = if verb == "PUT" || verb == "POST" {
        3
    } else {
        0
    };
    let body = &"new"[..length];
    let request = format!(
        "{verb} {path} HTTP/1.1\r\nHost: {server}\r\n{header}Content-Length: {length}\r\n\
         Connection: close\r\n\r\n{body}"
    );
    let mut stream = TcpStream::connect(server).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    answer.split(' ').nth(1).unwrap().to_owned()
}

#[test]
fn an_interrupted_run_stores_what_it_has_with_a_bundle_too() {
    let (place, _s3) = Place::with_s3();
    bundle(&place, &[]);
    let before = place.parts();
    let sender = target(&place, "bundle.json", &["--rate", "1"])
        .spawn()
        .unwrap();
    // The trial, and a part of the image.
    let run = place.interrupted(sender, before + 2);
    code(&run, 1);
    let summary = summary(&run);
    assert_eq!(summary["state"], "interrupted");
    let mut stored: Vec<_> = fs::read_dir(place.path("store/bucket/case 1"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    stored.sort();
    assert_eq!(stored, ["x.core", "x.core.partial.manifest.jsonl"]);
    let length = fs::metadata(place.path("store/bucket/case 1/x.core"))
        .unwrap()
        .len();
    assert_eq!(length, summary["file_bytes"].as_u64().unwrap());
}

#[test]
fn troubles_on_the_line_pass_with_a_bundle_too() {
    let (mut place, s3) = Place::with_s3();
    let line = TroubledLine::new(s3.address(), &every_kind()).unwrap();
    let direct = std::mem::replace(&mut place.s3, format!("http://{}", line.address));
    bundle(&place, &[]);
    code(&sent(&place, &[]), 0);
    assert!(
        line.connections() > every_kind().len(),
        "{}",
        line.connections()
    );
    place.s3 = direct;
    is_equal(&place, "case 1/x.core");
    code(&place.verify(ADDRESS, &[]), 0);
}

#[test]
fn a_bundle_reads_nothing_and_replaces_no_file() {
    let (place, _s3) = Place::with_s3();
    bundle(&place, &[]);
    for command in ["verify", "index"] {
        let run = place
            .command(&[command, "@../bundle.json"])
            .output()
            .unwrap();
        code(&run, 2);
        assert!(
            said(&run).contains("reads nothing: give the address, s3://bucket/case 1/x.core"),
            "{}",
            said(&run)
        );
    }
    // What is no store has no index.
    code(&place.command(&["index", "x.core"]).output().unwrap(), 2);
    let before = text(&place);
    let again = presign(&place, "s3://bucket/y.core", "bundle.json", &[]);
    refused(&again, "exists");
    assert_eq!(text(&place), before);
    for (address, expected) in [
        ("s3://bucket/folder/", "name the image"),
        ("s3://bucket", "name the image"),
        ("gs://bucket/x", "a bundle is for S3"),
        ("https://h/x", "a bundle is for S3"),
    ] {
        let run = presign(&place, address, "other.json", &[]);
        code(&run, 2);
        assert!(said(&run).contains(expected), "{}", said(&run));
        assert!(!place.path("other.json").exists());
    }
    fs::write(place.path("bundle.json"), &before[..before.len() / 2]).unwrap();
    code(&sent(&place, &[]), 2);
}

#[test]
fn a_bundle_on_stdout_has_its_words_on_stderr() {
    let (place, _s3) = Place::with_s3();
    let words = [
        "presign", ADDRESS, "--json", "--output", "-", "--size", "25MiB",
    ];
    let made = place.command(&words).output().unwrap();
    code(&made, 0);
    let document = summary(&made);
    assert_eq!(document["bundle"], "-");
    assert!(!said(&made).contains("Signature"));
    fs::write(place.path("bundle.json"), &made.stdout).unwrap();
    code(&sent(&place, &[]), 0);
    code(&place.verify(ADDRESS, &[]), 0);
}

#[test]
fn a_bundle_ends_with_the_credentials_that_have_signed_it() {
    let (place, _s3) = Place::with_s3();
    let mut temporary = place.command(&["presign", ADDRESS, "--json"]);
    temporary.env("AWS_SESSION_TOKEN", "a-token-that-nobody-may-see");
    let made = temporary.output().unwrap();
    code(&made, 0);
    let document: Value = serde_json::from_slice(&made.stdout).unwrap();
    assert_eq!(document["until"], "credentials-may-end");
    assert_eq!(document["bundle"], "x.core.bundle.json");
    assert!(!String::from_utf8_lossy(&made.stdout).contains("nobody-may-see"));
}
