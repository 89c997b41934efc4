// SPDX-License-Identifier: MIT OR Apache-2.0
//! `doctor` on the machine that tests: whichever sources it has, places for the image are judged.
//! What it says of machines is tested in virtual ones (`sources::refused`).

use crate::json::keeps_to;
use crate::remote::Place;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

const DUMP: &str = env!("CARGO_BIN_EXE_linpmem-dump");

fn doctor(folder: &Path, words: &[&str]) -> Output {
    Command::new(DUMP)
        .arg("doctor")
        .args(words)
        .env_remove("LINPMEM_TO")
        .current_dir(folder)
        .output()
        .unwrap()
}

/// What it says as JSON.
fn examined(folder: &Path, words: &[&str]) -> Value {
    let output = doctor(folder, &[words, &["--json"]].concat());
    let found: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    keeps_to("doctor", &found);
    let code = if found["ready"] == true { 0 } else { 1 };
    assert_eq!(output.status.code(), Some(code), "{found:#}");
    found
}

/// The verdicts on `topic`, and their texts.
fn about(found: &Value, topic: &str) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let findings = found["findings"].as_array().unwrap().iter();
    findings
        .filter(|finding| finding["topic"] == topic)
        .map(|finding| (text(&finding["verdict"]), text(&finding["text"])))
        .collect()
}

#[test]
fn a_folder_is_measured_and_stays_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let found = examined(folder.path(), &[]);
    let place = &found["destination"];
    assert_eq!(place["kind"], "folder");
    assert!(place["bytes_per_s"].as_u64().unwrap() > 1 << 20, "{place}");
    assert!(place["needed_bytes"].as_u64() > found["planned_bytes"].as_u64());
    assert_eq!(about(&found, "disk")[0].0, "good");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    let unmeasured = examined(folder.path(), &["--no-measure"]);
    assert!(unmeasured["destination"]["bytes_per_s"].is_null());
    assert!(unmeasured["estimate_s"].is_null());
    assert_eq!(about(&unmeasured, "disk"), []);
}

#[test]
fn a_folder_that_takes_no_image_is_not_ready() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), b"").unwrap();
    for name in ["missing", "file", "/proc"] {
        let found = examined(folder.path(), &[name, "--no-measure"]);
        assert_eq!(found["ready"], false);
        let said = about(&found, "folder");
        assert_eq!(said[0].0, "bad", "{said:?}");
        assert!(said[0].1.contains(name), "{said:?}");
    }
    let words = doctor(folder.path(), &["missing", "--no-measure"]);
    assert_eq!(words.status.code(), Some(1));
    let words = String::from_utf8(words.stdout).unwrap();
    assert!(words.contains("FAIL  folder"), "{words}");
    assert!(words.contains("NOT ready"), "{words}");
}

#[test]
fn a_receiver_is_measured_and_still_takes_its_one_image() {
    let place = Place::new();
    let receiver = place.receive("127.0.0.1:0", &["--once"]);
    let secret = receiver.to.rsplit('#').next().unwrap().to_owned();
    fs::write(place.path("address"), &receiver.to).unwrap();
    let found = examined(place.folder(), &["--to", "@address"]);
    let (kind, rate) = (
        &found["destination"]["kind"],
        &found["destination"]["bytes_per_s"],
    );
    assert_eq!(kind, "receiver");
    assert!(rate.as_u64().unwrap() > 1 << 20, "{rate}");
    assert_eq!(about(&found, "receiver")[0].0, "good");
    assert!(!found.to_string().contains(&secret), "the secret is shown");
    assert!(place.log().contains("\"probed\""), "{}", place.log());
    assert!(place.arrived().is_empty(), "{:?}", place.arrived());

    let sent = place.sender(&receiver, &[]).output().unwrap();
    assert!(sent.status.success(), "{sent:?}");
    assert_eq!(receiver.ended(), Some(0));
    let gone = examined(place.folder(), &["--to", "@address"]);
    assert_eq!(gone["ready"], false);
    assert_eq!(about(&gone, "receiver")[0].0, "bad");
}

#[test]
fn a_store_that_does_not_answer_is_not_ready() {
    let folder = tempfile::tempdir().unwrap();
    // Nobody listens there.
    let found = examined(folder.path(), &["--to", "http://127.0.0.1:9/lab/"]);
    assert_eq!(found["destination"]["kind"], "store");
    let said = about(&found, "store");
    assert_eq!(said[0].0, "bad", "{said:?}");
    assert!(
        said[0].1.contains("127.0.0.1 could not be reached"),
        "{said:?}"
    );
}
