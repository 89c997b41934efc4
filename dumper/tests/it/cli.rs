// SPDX-License-Identifier: MIT OR Apache-2.0
//! The command line.

use crate::fake::{Fake, manifest_of, verify};
use assert_cmd::Command;
use predicates::str::contains;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

fn dump(folder: &Path) -> Command {
    let mut command = Command::cargo_bin("linpmem-dump").unwrap();
    command.current_dir(folder);
    command
}

#[test]
fn wrong_usage_is_exit_code_2_and_says_what_is_right() {
    let folder = tempfile::tempdir().unwrap();
    for (words, hint) in [
        (&["--range", "5"][..], "FIRST-LAST or START+LENGTH"),
        (&["--range", "0x2000-0x1000"], "below the first"),
        (&["--compress", "gzip"], "zstd"),
        (&["--compress", "zstd:99"], "1 to 22"),
        (&["--source", "kcor"], "device node"),
        (&["--threads", "0"], "--threads"),
        (&["--on-error", "stop"], "fail"),
        (&["--page-timeout=-1"], "--page-timeout"),
        (&["--driver", ""], "linpmem.ko"),
        (&["--format", "qcow"], "elf"),
        (&["a.core", "--raw-layout", "padded"], "--format raw"),
        (&["a.zst", "--compress", "none"], "disagree; drop one"),
        (&["-"], "--manifest PATH is required"),
        (&["a/"], "names a folder"),
        (&["a", "b"], "cannot be used with '[OUTPUT]'"),
        (&["verify"], "<IMAGE>"),
        (&["symbols"], "<IMAGE|--live>"),
        (&["symbols", "a.core", "--live"], "cannot be used with"),
        (&["ranges", "--progress", "none"], "--progress"),
        (&["a", "--json", "--progress", "bar"], "--progress json"),
        (
            &["verify", "a", "--json", "--progress", "plain"],
            "--progress json",
        ),
    ] {
        dump(folder.path())
            .args(words)
            .assert()
            .code(2)
            .stdout("")
            .stderr(contains(hint));
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_symbol_file_replaces_nothing_and_is_made_of_the_right_kernel() {
    let folder = tempfile::tempdir().unwrap();
    Fake::default().acquire(folder.path(), &["a.core"]).unwrap();
    let file = folder.path().join("b.core.isf.json.xz");
    fs::write(&file, "old").unwrap();
    let source = ["--source", "file:a.core", "--symbols", "b.core"];
    dump(folder.path())
        .args(source)
        .assert()
        .code(1)
        .stderr(contains("b.core.isf.json.xz exists already"));
    assert!(!folder.path().join("b.core.partial").exists());
    // The image is that of another machine and has no artifacts; those of this machine
    // would be wrong.
    dump(folder.path())
        .args(source)
        .arg("--force")
        .assert()
        .code(0)
        .stderr(contains("the symbol file was not written"));
    assert_eq!(fs::read(&file).unwrap(), b"old");
    dump(folder.path())
        .args(["symbols", "a.core"])
        .assert()
        .code(1)
        .stderr(contains("symbols --live"));
}

#[test]
fn help_answers_the_next_question() {
    let folder = tempfile::tempdir().unwrap();
    let run = dump(folder.path()).arg("--help").assert().success();
    let help = String::from_utf8(run.get_output().stdout.clone()).unwrap();
    // Lines break where the terminal ends.
    let help: Vec<&str> = help.split_whitespace().collect();
    let help = help.join(" ");
    for hint in [
        "Examples:",
        "Exit codes: 0 complete",
        "OUTPUT.partial the image until then",
        "1 failed or interrupted",
        "2 wrong usage",
        "3 complete, but some pages could not be read",
        "for sha256sum -c",
        "Device registers (reading them can hang the machine)",
        "and persistent memory",
        "as in /proc/iomem",
    ] {
        assert!(help.contains(hint), "{hint}: {help}");
    }
    dump(folder.path())
        .args(["verify", "--help"])
        .assert()
        .success()
        .stdout(contains("1 if anything"));
}

#[test]
fn without_the_module_it_says_how_to_load_it() {
    let folder = tempfile::tempdir().unwrap();
    dump(folder.path())
        .args(["--source", "/nonexistent/linpmem", "a.core"])
        .assert()
        .code(1)
        .stderr(contains("insmod linpmem.ko"));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn stdout_holds_nothing_but_the_image() {
    let folder = tempfile::tempdir().unwrap();
    Fake::default().acquire(folder.path(), &["a.core"]).unwrap();
    let expected = fs::read(folder.path().join("a.core")).unwrap();
    let run = dump(folder.path())
        .args(["--source", "file:a.core", "-", "--manifest", "b.json"])
        .assert()
        .success()
        .stderr(contains("the image on stdout is complete"));
    assert!(run.get_output().stdout == expected);
    fs::write(folder.path().join("b.core"), expected).unwrap();
    dump(folder.path())
        .args(["verify", "b.core", "--manifest", "b.json"])
        .assert()
        .success()
        .stdout(contains("good"));
}

#[test]
fn a_full_stdout_is_a_failure_and_the_manifest_says_so() {
    let folder = tempfile::tempdir().unwrap();
    Fake::default().acquire(folder.path(), &["a.core"]).unwrap();
    let full = fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let run = std::process::Command::new(env!("CARGO_BIN_EXE_linpmem-dump"))
        .current_dir(folder.path())
        .args(["--source", "file:a.core", "-", "--manifest", "b.json"])
        .stdout(full)
        .output()
        .unwrap();
    assert_eq!(run.status.code(), Some(1));
    let words = String::from_utf8(run.stderr).unwrap();
    assert!(words.contains("No space left on device"), "{words}");
    let manifest = linpmem_manifest::read(&folder.path().join("b.json")).unwrap();
    assert!(manifest.footer.error.unwrap().contains("No space left"));
    assert_eq!(manifest.footer.file.sha256, None);
}

#[test]
fn tables_may_be_cut_short() {
    let folder = tempfile::tempdir().unwrap();
    Fake::default().acquire(folder.path(), &["a.core"]).unwrap();
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_linpmem-dump"))
        .current_dir(folder.path())
        .args(["info", "a.core"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let run = child.wait_with_output().unwrap();
    assert_eq!(
        (run.status.code(), run.stderr.as_slice()),
        (Some(0), &b""[..])
    );
}

#[test]
fn without_a_name_the_host_names_the_image() {
    let folder = tempfile::tempdir().unwrap();
    Fake::default().acquire(folder.path(), &["a.core"]).unwrap();
    dump(folder.path())
        .args([
            "--source",
            "file:a.core",
            "--format=raw",
            "--compress=zstd:1",
        ])
        .assert()
        .success();
    let made = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .find(|name| name.ends_with("Z.raw.zst"));
    assert!(made.is_some());
}

#[test]
fn info_and_ranges_show_the_content_of_an_image() {
    let folder = tempfile::tempdir().unwrap();
    Fake::default()
        .acquire(folder.path(), &["a.core.zst", "--include-reserved"])
        .unwrap();
    for hint in ["ELF core", "1.2.3", "0x800000", "Reserved", "complete"] {
        dump(folder.path())
            .args(["info", "a.core.zst"])
            .assert()
            .success()
            .stdout(contains(hint));
    }
    dump(folder.path())
        .args(["ranges", "--source", "file:a.core.zst"])
        .assert()
        .success()
        .stdout(contains("23.6 MiB would be read."));
    let run = dump(folder.path())
        .args(["ranges", "--source", "file:a.core.zst", "--json"])
        .args(["--include-reserved", "--range", "0x7ff000-0x800fff"])
        .assert()
        .success();
    let json: serde_json::Value = serde_json::from_slice(&run.get_output().stdout).unwrap();
    assert_eq!(json["read_bytes"], 0x2000);
    assert_eq!(json["totals"]["Reserved"]["read_bytes"], 0x1000);
    for range in json["ranges"].as_array().unwrap() {
        let source = if range["read"] == true {
            "file".into()
        } else {
            serde_json::Value::Null
        };
        assert_eq!(range["source"], source, "{range}");
    }
}

#[test]
fn a_signal_leaves_no_image_under_the_final_name() {
    let folder = tempfile::tempdir().unwrap();
    // 8 GiB of almost nothing take long enough to be interrupted. With a byte in each
    // chunk, each has its own line.
    let sparse = fs::File::create(folder.path().join("a.padded")).unwrap();
    sparse.set_len(8 << 30).unwrap();
    for mib in 0..8 << 10 {
        sparse.write_all_at(b"!", mib << 20).unwrap();
    }
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_linpmem-dump"))
        .current_dir(folder.path())
        .args(["--source", "file:a.padded", "b.core"])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let partial = folder.path().join("b.core.partial.manifest.jsonl");
    let begun = Instant::now();
    // The first ranges and chunks are in the manifest: the run has begun.
    while fs::metadata(&partial).map_or(0, |metadata| metadata.len()) < 4096 {
        assert!(begun.elapsed() < Duration::from_secs(60), "nothing is read");
        std::thread::sleep(Duration::from_millis(5));
    }
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert!(!folder.path().join("b.core").exists());
    dump(folder.path())
        .args(["verify", "b.core.partial"])
        .assert()
        .code(1)
        .stdout(contains("not completed (interrupted)"));
}

/// Whatever it chooses, it reports the choice, and the image opens.
#[test]
fn an_automatic_compression_is_reported_and_opens() {
    let folder = tempfile::tempdir().unwrap();
    let words = ["a.core", "--compress", "auto"];
    let summary = Fake::default().acquire(folder.path(), &words).unwrap();
    let manifest = manifest_of(&summary);
    let chosen = format!(
        "--compress auto chose {}:",
        manifest.header.image.compression
    );
    assert!(
        manifest
            .footer
            .warnings
            .iter()
            .any(|said| said.starts_with(&chosen)),
        "{:?}",
        manifest.footer.warnings
    );
    let image = folder.path().join("a.core");
    assert_eq!(verify(&image).0, 0);
    linpmem_formats::open_image(&image).unwrap();
    let words = ["a.zst", "--compress", "auto"];
    let refused = Fake::default().acquire(folder.path(), &words);
    assert!(refused.is_err());
}
