// SPDX-License-Identifier: MIT OR Apache-2.0
//! Runs that end early, and names that are taken.

use crate::fake::{Fake, chunks_of, manifest_of, range, verify};
use linpmem_capture::stop::Stop;
use linpmem_manifest::State;
use linpmem_phys::{Errno, PhysAddr};
use rustix::process::{Pid, Signal};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_complete_run_leaves_image_manifest_and_sum_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    Fake::default().acquire(folder.path(), &["a.core"]).unwrap();
    assert_eq!(
        names(folder.path()),
        ["a.core", "a.core.manifest.jsonl", "a.core.sha256"]
    );
}

#[test]
fn an_interrupted_run_leaves_an_image_of_the_planned_form_and_its_description() {
    for name in [
        "a.core",
        "a.core.zst",
        "a.raw",
        "a.padded",
        "a.lime",
        "a.aff4",
        "a.kdump",
        "a.avml",
    ] {
        let folder = tempfile::tempdir().unwrap();
        let fake = Fake {
            stop_at: Some((PhysAddr::new(0x40_1000), Stop::default())),
            // Unreadable pages are part of the description as well.
            refused: vec![(range(0x20_0000, 0x20_0fff), Errno::EIO)],
            delay: Duration::from_millis(1),
            ..Fake::default()
        };
        let summary = fake.acquire(folder.path(), &[name]).unwrap();
        assert_eq!(summary.acquired.state, State::Interrupted);
        assert_eq!(summary.exit_status().code(), 1);
        assert_eq!(
            names(folder.path()),
            [
                format!("{name}.partial"),
                format!("{name}.partial.manifest.jsonl")
            ]
        );
        let said = summary.to_string();
        assert!(said.contains("stopped after "), "{said}");
        assert!(said.contains("ECANCELED (the run was stopped"), "{said}");
        let manifest = manifest_of(&summary);
        assert_eq!(manifest.footer.state, State::Interrupted);
        assert_eq!(manifest.footer.file.sha256, None);
        let told: Vec<_> = manifest
            .ranges
            .iter()
            .flat_map(|range| &range.unreadable)
            .map(|part| {
                let range = part.range;
                (range.start().get(), range.last().get(), part.errno.get())
            })
            .collect();
        let canceled = Errno::ECANCELED.get();
        // Reading is a few chunks ahead of writing, never behind.
        assert_eq!(
            told,
            [
                (0x20_0000, 0x20_0fff, 5),
                (0x50_0000, 0x7f_ffff, canceled),
                (0x1_0000_0000, 0x1_00ff_efff, canceled),
            ],
            "{name}"
        );

        let partial = folder.path().join(format!("{name}.partial"));
        let (code, words) = verify(&partial);
        assert_eq!(code, 1);
        assert!(words.contains("not completed (interrupted)"), "{words}");
        assert!(!words.contains("differ"), "{name}: {words}");

        // It opens, has every range, and holds what was read.
        let image = linpmem_capture::source::open_reader_at(&partial, Some(&manifest)).unwrap();
        let last = image.ranges().last().unwrap().range;
        assert_eq!(last.end(), PhysAddr::new(0x1_00ff_f000), "{name}");
        let mut buf = vec![0; 4096];
        let mut unreadable = linpmem_phys::Unreadables::new();
        for at in [0x1000_u64, 0x10_1000, 0x40_2000] {
            image
                .read_phys(PhysAddr::new(at), &mut buf, &mut unreadable)
                .unwrap();
            assert!(buf == crate::fake::page(at), "{name}: {at:#x}");
        }
        image
            .read_phys(PhysAddr::new(0x60_0000), &mut buf, &mut unreadable)
            .unwrap();
        assert!(buf.iter().all(|&byte| byte == 0));
    }
}

#[test]
fn a_source_that_dies_leaves_what_it_gave() {
    let folder = tempfile::tempdir().unwrap();
    let fake = Fake {
        dead_from: Some(PhysAddr::new(0x30_2000)),
        ..Fake::default()
    };
    let summary = fake.acquire(folder.path(), &["a.core"]).unwrap();
    assert_eq!(
        (summary.acquired.state, summary.exit_status().code()),
        (State::Failed, 1)
    );
    let manifest = manifest_of(&summary);
    let error = manifest.footer.error.unwrap();
    assert!(error.contains("the device is gone"), "{error}");
    assert!(summary.to_string().contains("the device is gone"));
    let (code, words) = verify(&folder.path().join("a.core.partial"));
    assert_eq!(code, 1);
    assert!(words.contains("not completed (failed)"), "{words}");
}

#[test]
fn names_that_are_taken_stay_as_they_are() {
    for taken in [
        "a.core",
        "a.core.partial",
        "a.core.sha256",
        "a.core.manifest.jsonl",
        "a.core.partial.manifest.jsonl",
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(taken);
        fs::write(&path, b"precious").unwrap();
        let error = Fake::default()
            .acquire(folder.path(), &["a.core"])
            .unwrap_err();
        assert!(error.to_string().contains("--force"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"precious");
        assert_eq!(names(folder.path()), [taken]);

        let words = ["a.core", "--force"];
        Fake::default().acquire(folder.path(), &words).unwrap();
        assert_eq!(names(folder.path()).len(), 3, "{taken}");
        assert_eq!(verify(&folder.path().join("a.core")).0, 0);
    }
}

#[test]
fn nothing_is_written_through_a_link() {
    for name in ["a.core", "a.core.partial", "a.core.partial.manifest.jsonl"] {
        let folder = tempfile::tempdir().unwrap();
        let victim = folder.path().join("victim");
        fs::write(&victim, b"precious").unwrap();
        symlink(&victim, folder.path().join(name)).unwrap();
        let run = |words: &[&str]| Fake::default().acquire(folder.path(), words);
        assert!(run(&["a.core"]).is_err(), "{name}");
        run(&["a.core", "--force"]).unwrap();
        assert_eq!(fs::read(&victim).unwrap(), b"precious");
    }
}

#[test]
fn on_error_fail_ends_the_run_at_the_first_page_that_cannot_be_read() {
    let fake = Fake {
        refused: vec![(range(0x20_0000, 0x20_0fff), Errno::EIO)],
        ..Fake::default()
    };
    let folder = tempfile::tempdir().unwrap();
    let listed = fake.clone().acquire(folder.path(), &["a.core"]).unwrap();
    assert_eq!(listed.exit_status().code(), 3);
    let words = ["b.core", "--on-error", "fail"];
    let failed = fake.acquire(folder.path(), &words).unwrap();
    assert_eq!(
        (failed.acquired.state, failed.exit_status().code()),
        (State::Failed, 1)
    );
    let words = failed.to_string();
    assert!(
        words.contains("0x200000-0x200fff cannot be read (EIO)"),
        "{words}"
    );
    assert!(!folder.path().join("b.core").exists());
}

#[test]
fn a_run_that_takes_too_long_ends_as_after_a_signal() {
    let folder = tempfile::tempdir().unwrap();
    let fake = Fake {
        delay: Duration::from_millis(400),
        ..Fake::default()
    };
    let stop = Stop::default().with_timeout(Duration::from_millis(1500));
    let summary = fake
        .acquire_until(folder.path(), &["a.core"], &stop)
        .unwrap();
    assert_eq!(
        (summary.acquired.state, summary.exit_status().code()),
        (State::Interrupted, 1)
    );
    let manifest = manifest_of(&summary);
    assert_eq!(
        manifest.footer.error.as_deref(),
        Some("stopped by --timeout 1")
    );
    // At least one chunk, and not all of them.
    let read = summary.acquired.outcome.read_bytes;
    assert!(read > 0 && read < manifest.header.image.planned_bytes);
}

#[test]
fn an_image_does_not_grow_beyond_its_limit() {
    let folder = tempfile::tempdir().unwrap();
    let run = |words: &[&str]| Fake::default().acquire(folder.path(), words);
    // Without compression, that is known before the first byte is read.
    let error = run(&["a.core", "--max-size", "1MiB"]).unwrap_err();
    assert!(error.to_string().contains("--max-size 1 MiB"), "{error}");
    assert!(names(folder.path()).is_empty());
    // With compression, it is not.
    let summary = run(&["a.core.zst", "--max-size", "1MiB"]).unwrap();
    assert_eq!(
        (summary.acquired.state, summary.exit_status().code()),
        (State::Failed, 1)
    );
    let words = summary.to_string();
    assert!(words.contains("has reached --max-size 1 MiB"), "{words}");
    let path = folder.path().join("a.core.zst.partial");
    assert!(fs::metadata(&path).unwrap().len() <= 1 << 20);
    let (code, words) = verify(&path);
    assert_eq!(code, 1);
    assert!(words.contains("not completed (failed)"), "{words}");
    run(&["b.core.zst", "--max-size", "100MiB"]).unwrap();
}

#[test]
fn a_disk_is_not_filled_beyond_what_has_to_stay_free() {
    let folder = tempfile::tempdir().unwrap();
    let run = |words: &[&str]| Fake::default().acquire(folder.path(), words);
    let error = run(&["a.core", "--min-free", "1000000TiB"]).unwrap_err();
    assert!(error.to_string().contains("--min-free"), "{error}");
    assert!(names(folder.path()).is_empty());
    let summary = run(&["a.core.zst", "--min-free", "1000000TiB"]).unwrap();
    assert_eq!(summary.acquired.state, State::Failed);
    let words = summary.to_string();
    assert!(words.contains("--min-free"), "{words}");
}

#[test]
fn no_more_is_read_in_a_second_than_was_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let words = ["a.core", "--rate", "4", "--range", "0x100000-0x4fffff"];
    let summary = Fake::default().acquire(folder.path(), &words).unwrap();
    // 4 MiB, without waiting after the last one.
    assert!(
        summary.acquired.elapsed >= Duration::from_millis(740),
        "{summary}"
    );
    let chunks = chunks_of(&summary);
    let begins: Vec<u64> = chunks
        .iter()
        .map(|listed| listed.chunk.read.begin_us)
        .collect();
    assert_eq!(begins.len(), 4);
    assert!(
        begins.windows(2).all(|pair| pair[1] - pair[0] >= 240_000),
        "{begins:?}"
    );
}

/// The program under a shell that has prepared something for it.
fn under(shell: &str, folder: &Path, words: &[&str]) -> std::process::Child {
    let mut command = std::process::Command::new("sh");
    command.args(["-c", &format!("{shell}; exec \"$@\"")]);
    command
        .arg("sh")
        .arg(assert_cmd::cargo::cargo_bin("linpmem-dump"));
    command.args(words).current_dir(folder);
    command.stderr(Stdio::piped()).spawn().unwrap()
}

#[test]
fn nohup_protects_a_run() {
    let folder = tempfile::tempdir().unwrap();
    Fake::default().acquire(folder.path(), &["a.core"]).unwrap();
    let words = ["convert", "a.core", "b.core", "--rate", "8"];
    // The tests may run under nohup themselves.
    let exposed = "exec env --default-signal=HUP \"$@\"";
    for (shell, code) in [("trap '' HUP", 0), (exposed, 1)] {
        let run = under(shell, folder.path(), &words);
        std::thread::sleep(Duration::from_millis(500));
        let pid = Pid::from_raw(i32::try_from(run.id()).unwrap()).unwrap();
        rustix::process::kill_process(pid, Signal::HUP).unwrap();
        let ended = run.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!(ended.status.code(), Some(code), "{shell}: {said}");
        let _ = fs::remove_file(folder.path().join("b.core"));
        let _ = fs::remove_file(folder.path().join("b.core.manifest.jsonl"));
        let _ = fs::remove_file(folder.path().join("b.core.sha256"));
    }
}

#[test]
fn a_limit_for_files_is_seen_before_the_run_or_ends_it_like_a_full_disk() {
    let folder = tempfile::tempdir().unwrap();
    Fake::default().acquire(folder.path(), &["a.core"]).unwrap();
    // In blocks of 512 bytes.
    let shell = "ulimit -f 500";
    let words = ["convert", "a.core", "b.core"];
    let ended = under(shell, folder.path(), &words)
        .wait_with_output()
        .unwrap();
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), Some(1), "{said}");
    assert!(said.contains("ulimit -f"), "{said}");
    assert!(!folder.path().join("b.core.partial").exists());

    let words = ["convert", "a.core", "b.core.zst", "--compress", "zstd:1"];
    let ended = under(shell, folder.path(), &words)
        .wait_with_output()
        .unwrap();
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), Some(1), "{:?}: {said}", ended.status);
    assert!(said.contains("does not compress well"), "{said}");
    assert!(said.contains("File too large"), "{said}");
    let manifest = folder.path().join("b.core.zst.partial.manifest.jsonl");
    let text = fs::read_to_string(manifest).unwrap();
    assert!(text.contains("\"failed\""), "{text}");
}
