// SPDX-License-Identifier: MIT OR Apache-2.0
//! Encrypted images that go to a receiver and to stores: neither has a key.

use crate::encryption::{PRIVATE, PUBLIC};
use crate::fake::flip;
use crate::remote;
use crate::stores::{self, code, said, summary};
use linpmem_testkit::stores::StoreServer;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const DUMP: &str = env!("CARGO_BIN_EXE_linpmem-dump");

/// The options of runs that encrypt.
const ENCRYPT: [&str; 2] = ["--encrypt-to", PUBLIC];

/// Runs a command whose exit code is 0 in `folder`.
fn ok(folder: &Path, words: &[&str]) -> String {
    let run = Command::new(DUMP).args(words).current_dir(folder).output();
    let run = run.unwrap();
    code(&run, 0);
    String::from_utf8_lossy(&run.stdout).into_owned()
}

/// Requires that `image`, whose key is in `folder`, is the one at `plain`, that it can be checked
/// without the key, and that nothing beside it is readable.
fn is_the_same(folder: &Path, plain: &Path, image: &Path) {
    fs::write(folder.join("key"), PRIVATE).unwrap();
    let name = image.to_str().unwrap();
    let without_key = ok(folder, &["verify", name]);
    assert!(without_key.contains("the encrypted file"), "{without_key}");
    ok(folder, &["verify", "--full", name, "--identity", "key"]);
    let plain = plain.to_str().unwrap();
    ok(folder, &["compare", plain, name, "--identity", "key"]);
    nothing_is_readable(image.parent().unwrap());
}

/// Requires that no file in `folder` has what is in the image or its manifest.
fn nothing_is_readable(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            continue;
        }
        let bytes = fs::read(&path).unwrap();
        for text in ["manifest_version", "Linux version", "; page 1 at "] {
            let found = bytes
                .windows(text.len())
                .any(|window| window == text.as_bytes());
            assert!(!found, "{path:?} has {text}");
        }
    }
}

#[test]
fn every_format_arrives_encrypted() {
    for words in [
        &[][..],
        &["--compress", "zstd"],
        &["--format", "lime"],
        &["--format", "raw"],
        &["--format", "aff4"],
        &["--format", "kdump"],
    ] {
        let place = remote::Place::new();
        let receiver = place.receive("127.0.0.1:0", &["--once"]);
        let words = [words, &ENCRYPT].concat();
        let run = place.sender(&receiver, &words).output().unwrap();
        code(&run, 0);
        let summary = summary(&run);
        assert_eq!(summary["receiver"]["verified"], true, "{summary}");
        assert!(summary["encryption"].is_string(), "{summary}");
        assert_eq!(receiver.ended(), Some(0));
        let image = place.image();
        assert!(image.to_str().unwrap().ends_with(".age"), "{image:?}");
        is_the_same(place.folder(), &place.path("a.core"), &image);
        let checked = Command::new("sha256sum")
            .args(["--check", "--status"])
            .arg(format!("{}.sha256", image.display()))
            .current_dir(place.path("out"))
            .status();
        assert!(checked.unwrap().success());
    }
}

#[test]
fn what_the_receivers_disk_has_changed_is_not_confirmed() {
    let place = remote::Place::new();
    let receiver = place.receive("127.0.0.1:0", &[]);
    let words = [&["--rate", "2"], &ENCRYPT[..]].concat();
    let run = place.sender(&receiver, &words).spawn().unwrap();
    let partial = grown(&place);
    flip(&partial, 1 << 20);
    let run = run.wait_with_output().unwrap();
    code(&run, 1);
    assert!(
        said(&run).contains("differs from what its sender says"),
        "{}",
        said(&run)
    );
    for name in place.arrived() {
        let is_final = [".core.age", ".sha256", ".receipt.json", ".age.json"]
            .iter()
            .any(|ending| name.ends_with(ending) && !name.contains(".partial"));
        assert!(!is_final, "{name}");
    }
}

/// The image that is arriving, once it has some MiB.
fn grown(place: &remote::Place) -> PathBuf {
    let mut partial = None;
    remote::until(|| {
        let found = place.arrived();
        let name = found.iter().find(|name| name.ends_with(".partial.age"));
        partial = name.map(|name| place.path("out").join(name));
        partial
            .as_ref()
            .is_some_and(|path| fs::metadata(path).is_ok_and(|found| found.len() > 2 << 20))
    });
    partial.unwrap()
}

#[test]
fn an_interrupted_run_is_recovered_there_with_the_key() {
    let place = remote::Place::new();
    let receiver = place.receive("127.0.0.1:0", &[]);
    let words = [&["--rate", "2"], &ENCRYPT[..]].concat();
    let run = place.sender(&receiver, &words).spawn().unwrap();
    let partial = grown(&place);
    let id = run.id().try_into().unwrap();
    kill_process(Pid::from_raw(id).unwrap(), Signal::TERM).unwrap();
    let run = run.wait_with_output().unwrap();
    code(&run, 1);
    remote::until(|| place.log().contains("incomplete"));
    let record = fs::read_to_string(format!("{}.json", partial.display())).unwrap();
    let record: Value = serde_json::from_str(&record).unwrap();
    assert_eq!(record["state"], "interrupted");
    nothing_is_readable(&place.path("out"));
    fs::write(place.path("key"), PRIVATE).unwrap();
    let recovered = Command::new(DUMP)
        .args(["recover", partial.to_str().unwrap(), "whole.core"])
        .args(["--identity", "key"])
        .current_dir(place.folder())
        .output()
        .unwrap();
    code(&recovered, 3);
    ok(place.folder(), &["verify", "whole.core"]);
}

fn stored(place: &stores::Place, to: &str, words: &[&str]) -> Output {
    let words = [words, &ENCRYPT].concat();
    place.sent(to, &words)
}

#[test]
fn a_store_gets_nothing_readable_and_is_verified_without_a_key() {
    let (place, _s3) = stores::Place::with_s3();
    let address = "s3://bucket/x.core.age";
    // The ending comes by itself.
    let run = stored(&place, "s3://bucket/x.core", &["--format", "elf"]);
    code(&run, 0);
    assert_eq!(summary(&run)["store"]["complete"], true);
    assert_eq!(
        place.stored(),
        [
            "x.core.age",
            "x.core.age.json",
            "x.core.age.sha256",
            "x.core.manifest.jsonl.age"
        ]
    );
    let bucket = place.path("store/bucket");
    is_the_same(
        &place.path(""),
        &place.path("a.core"),
        &bucket.join("x.core.age"),
    );

    let verified = place.verify(address, &[]);
    code(&verified, 0);
    let document: Value = serde_json::from_slice(&verified.stdout).unwrap();
    assert_eq!(document["store"]["encrypted"], true, "{document}");
    assert_eq!(document["store"]["good"], true, "{document}");
    let index = place.command(&["index", "s3://bucket"]).output().unwrap();
    let index = String::from_utf8_lossy(&index.stdout).into_owned();
    assert!(index.contains("1 complete"), "{index}");
    let with_key = ["verify", address, "--identity", "../key"];
    let refused = place.command(&with_key).output().unwrap();
    code(&refused, 1);
    assert!(
        said(&refused).contains("decrypt them"),
        "{}",
        said(&refused)
    );

    for (name, expected) in [
        ("x.core.age", "its part 2 is another"),
        ("x.core.manifest.jsonl.age", "its part 1 is another"),
    ] {
        let file = fs::File::options()
            .write(true)
            .open(bucket.join(name))
            .unwrap();
        let offset = match name {
            "x.core.age" => 6_000_000,
            _ => 100,
        };
        let whole = fs::read(bucket.join(name)).unwrap();
        file.write_all_at(b"another", offset).unwrap();
        let verified = place.verify(address, &["--full"]);
        code(&verified, 1);
        let found = String::from_utf8_lossy(&verified.stdout).into_owned();
        assert!(found.contains(expected), "{found}");
        fs::write(bucket.join(name), whole).unwrap();
    }
    code(&place.verify(address, &["--full"]), 0);
}

#[test]
fn a_run_that_is_interrupted_leaves_what_a_key_opens() {
    let (place, _s3) = stores::Place::with_s3();
    let words = [&["--format", "elf", "--rate", "1"], &ENCRYPT[..]].concat();
    let sender = place.sender("s3://bucket/x.core", &words).spawn().unwrap();
    let run = place.interrupted(sender, 1);
    code(&run, 1);
    assert_eq!(
        place.stored(),
        [
            "x.core.age",
            "x.core.partial.age.json",
            "x.core.partial.manifest.jsonl.age"
        ]
    );
    nothing_is_readable(&place.path("store/bucket"));
    let index = place.command(&["index", "s3://bucket"]).output().unwrap();
    let index = String::from_utf8_lossy(&index.stdout).into_owned();
    assert!(index.contains("partial"), "{index}");
    code(&place.verify("s3://bucket/x.core.age", &[]), 1);
    let bucket = place.path("store/bucket");
    fs::write(place.path("key"), PRIVATE).unwrap();
    fs::rename(bucket.join("x.core.age"), bucket.join("x.core.partial.age")).unwrap();
    let recovered = Command::new(DUMP)
        .args(["recover", "x.core.partial.age", "whole.core"])
        .args(["--identity", "../../key"])
        .current_dir(&bucket)
        .output()
        .unwrap();
    code(&recovered, 3);
}

#[test]
fn every_other_store_gets_it_and_names_say_what_is_encrypted() {
    let (place, _s3) = stores::Place::with_s3();
    fs::create_dir(place.path("dav")).unwrap();
    let dav = StoreServer::webdav(&place.path("dav")).unwrap();
    let to = format!("http://{}/x.core", dav.address());
    code(&stored(&place, &to, &["--format", "elf"]), 0);
    code(&place.verify(&format!("{to}.age"), &[]), 0);
    nothing_is_readable(&place.path("dav"));

    // A folder: the name is made here.
    code(&stored(&place, "s3://bucket/", &["--format", "aff4"]), 0);
    let names = place.stored();
    assert!(
        names.iter().any(|name| name.ends_with(".aff4.age")),
        "{names:?}"
    );

    let plain = place.sent("s3://bucket/y.core.age", &[]);
    code(&plain, 2);
    assert!(said(&plain).contains("--encrypt-to"), "{}", said(&plain));

    for (name, expected) in [("b.core", 2), ("b.core.age", 0)] {
        let address = format!("s3://bucket/{name}");
        let bundle = format!("../{name}.json");
        let presign = ["presign", &address, "--size", "64MiB", "--output", &bundle];
        code(&place.command(&presign).output().unwrap(), 0);
        let mut sender = place.sender(
            "",
            &[&["--to", &format!("@{bundle}")], &ENCRYPT[..]].concat(),
        );
        sender.env_remove("LINPMEM_TO");
        // A bundle has its own.
        let run = without_part_size(sender);
        code(&run, expected);
    }
    code(&place.verify("s3://bucket/b.core.age", &[]), 0);
}

/// Runs `sender` without the option that bundles do not take.
fn without_part_size(sender: Command) -> Output {
    let mut words: Vec<_> = sender.get_args().map(ToOwned::to_owned).collect();
    let at = words.iter().position(|word| word == "--part-size").unwrap();
    words.drain(at..at + 2);
    let mut command = Command::new(DUMP);
    command.args(words);
    if let Some(folder) = sender.get_current_dir() {
        command.current_dir(folder);
    }
    for (name, value) in sender.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.output().unwrap()
}
