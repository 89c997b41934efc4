// SPDX-License-Identifier: MIT OR Apache-2.0
//! Encrypted images of runs that ended early: interrupted, killed, at a limit, or before they had
//! their names.

use crate::encryption::{FORMATS, LOW, PUBLIC, document, dump, keys, names, plaintext};
use crate::fake::{Fake, page};
use linpmem_capture::stop::Stop;
use linpmem_manifest::State;
use linpmem_phys::PhysAddr;
use predicates::str::contains;
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, File};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

#[test]
fn an_interrupted_run_leaves_streams_with_an_end_that_can_be_recovered() {
    for name in FORMATS {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        keys(folder);
        let fake = Fake {
            stop_at: Some((PhysAddr::new(0x40_1000), Stop::default())),
            delay: Duration::from_millis(1),
            ..Fake::default()
        };
        let words = [&[name, "--encrypt-to", PUBLIC], &LOW[..]].concat();
        let summary = fake.acquire(folder, &words).unwrap();
        assert_eq!(summary.acquired.state, State::Interrupted, "{summary}");
        let partial = format!("{name}.partial.age");
        assert_eq!(
            names(folder),
            [
                partial.clone(),
                format!("{partial}.json"),
                format!("{name}.partial.manifest.jsonl.age")
            ]
        );
        assert_eq!(plaintext(folder), None);
        let key = ["--identity", "key.txt", "--progress=none"];
        let words = [&["verify", &partial], &key[..]].concat();
        let found = document(folder, &words, 1);
        let damages = found["comparison"]["damages"].as_array().unwrap();
        // Where holes take space, an image ends where it was stopped, and AFF4 without its directory.
        let is_cut = name.ends_with("aff4");
        assert!(is_cut || damages.len() == 1, "{name}: {found}");
        assert_eq!(damages[0]["kind"], "not-complete");
        let without = document(folder, &["verify", &partial, "--progress=none"], 1);
        assert_eq!(without["encrypted"]["state"], "interrupted");
        assert!(
            without["encrypted"]["files"]
                .as_array()
                .unwrap()
                .iter()
                .all(|it| it["good"] == true)
        );
        recovered(folder, &partial, "whole");
    }
}

/// Recovers `partial`, of which the memory up to 0x400000 was read.
fn recovered(folder: &Path, partial: &str, output: &str) {
    let words = ["recover", partial, output, "--identity", "key.txt"];
    let assert = dump(folder, &words).assert();
    let said = format!("{assert}");
    assert!(
        [Some(0), Some(3)].contains(&assert.get_output().status.code()),
        "{said}"
    );
    // An AFF4 image has no more of its memory than the parts of many MiB that are complete.
    if partial.contains("aff4") {
        return;
    }
    let words = ["extract", output, "part", "--range", "0x12d000-0x12dfff"];
    dump(folder, &words).assert().code(0);
    assert!(
        fs::read(folder.join("part")).unwrap() == page(0x12_d000),
        "{partial}"
    );
}

/// The run has no time to end its streams.
#[test]
fn a_killed_run_leaves_what_was_written_up_to_the_last_whole_chunk() {
    for name in ["a.core", "a.raw", "a.padded", "a.lime", "a.aff4"] {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        keys(folder);
        // More than the run has time for.
        Fake::default().acquire(folder, &["memory.lime"]).unwrap();
        let child = std::process::Command::new(env!("CARGO_BIN_EXE_linpmem-dump"))
            .args([
                "convert",
                "memory.lime",
                name,
                "--encrypt-to",
                PUBLIC,
                "--rate",
                "4",
            ])
            .args(["--progress=none", "--threads", "1"])
            .args(LOW)
            .current_dir(folder)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
        let partial = format!("{name}.partial.age");
        let begun = Instant::now();
        let len = || File::open(folder.join(&partial)).and_then(|file| file.metadata());
        let len = || len().map_or(0, |metadata| metadata.len());
        // AFF4 is compressed.
        let enough = if name.ends_with("aff4") {
            1 << 20
        } else {
            3 << 20
        };
        while len() < enough {
            assert!(
                begun.elapsed() < Duration::from_secs(60),
                "{name}: {}",
                len()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        kill_process(pid, Signal::KILL).unwrap();
        child.wait_with_output().unwrap();
        for file in fs::read_dir(folder).unwrap() {
            let file = file.unwrap().file_name().into_string().unwrap();
            assert!(!file.starts_with("a.") || file.ends_with(".age"), "{file}");
        }
        recovered(folder, &partial, "whole");
        if name.ends_with("aff4") {
            continue;
        }
        // The manifest does not tell which of the pages of zeros were read.
        let words = [
            "compare",
            "memory.lime",
            "whole",
            "--range",
            "0x100000-0x1fffff",
        ];
        let assert = dump(folder, &words).assert().code(1);
        assert.stdout(contains("256 pages: 0 differ, 115 unreadable, 141 equal"));
    }
}

/// A run that was killed when everything was written, and had no names yet.
#[test]
fn a_whole_image_without_its_name_gets_it() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    keys(folder);
    let words = ["a.lime", "--encrypt-to", PUBLIC, LOW[0], LOW[1]];
    Fake::default().acquire(folder, &words).unwrap();
    let rename = |from: &str, to: &str| fs::rename(folder.join(from), folder.join(to)).unwrap();
    rename("a.lime.age", "a.lime.partial.age");
    rename(
        "a.lime.manifest.jsonl.age",
        "a.lime.partial.manifest.jsonl.age",
    );
    let sum = fs::read(folder.join("a.lime.age.sha256")).unwrap();
    fs::remove_file(folder.join("a.lime.age.sha256")).unwrap();
    let words = ["recover", "a.lime.partial.age", "--identity", "key.txt"];
    dump(folder, &words).assert().code(0);
    assert_eq!(fs::read(folder.join("a.lime.age.sha256")).unwrap(), sum);
    let words = [
        "verify",
        "a.lime.age",
        "--full",
        "--identity",
        "key.txt",
        "--progress=none",
    ];
    assert_eq!(document(folder, &words, 0)["good"], true);
}

#[test]
fn an_image_at_its_limit_ends_properly() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    keys(folder);
    let words = ["a.lime", "--encrypt-to", PUBLIC, "--max-size", "3MiB"];
    let fake = Fake {
        refused: Vec::new(),
        ..Fake::default()
    };
    let summary = match fake.acquire(folder, &words) {
        Ok(summary) => summary,
        // Known before the run: a compressed image is not.
        Err(error) => {
            assert!(error.to_string().contains("--max-size"), "{error}");
            let words = ["a.lime.zst", "--encrypt-to", PUBLIC, "--max-size", "1MiB"];
            Fake::default().acquire(folder, &words).unwrap()
        }
    };
    assert_eq!(summary.acquired.state, State::Failed, "{summary}");
    let partial = summary
        .acquired
        .image
        .file_name()
        .unwrap()
        .to_str()
        .unwrap()
        .to_owned();
    assert!(folder.join(&partial).metadata().unwrap().len() <= 1 << 20);
    recovered(folder, &partial, "whole");
}
