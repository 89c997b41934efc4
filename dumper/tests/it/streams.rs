// SPDX-License-Identifier: MIT OR Apache-2.0
//! Images that go to a pipe or to stdout, and images with large holes.

use crate::fake::{Fake, range};
use linpmem_phys::{Region, RegionKind};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::os::unix::fs::{FileTypeExt, symlink};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// A folder with an image, `a.core`, and what it is converted to, `whole.raw`.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    Fake::default().acquire(folder.path(), &["a.core"]).unwrap();
    let whole = shell(folder.path(), "$DUMP convert a.core whole.raw");
    assert!(whole.status.success(), "{whole:?}");
    folder
}

/// Runs a script in which `$DUMP` is the program.
fn shell(folder: &Path, script: &str) -> Output {
    Command::new("sh")
        .args(["-c", script])
        .env("DUMP", env!("CARGO_BIN_EXE_linpmem-dump"))
        .current_dir(folder)
        .output()
        .unwrap()
}

fn same(folder: &Path, name: &str) -> bool {
    fs::read(folder.join(name)).unwrap() == fs::read(folder.join("whole.raw")).unwrap()
}

fn make_pipe(path: &Path) {
    mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
}

#[test]
fn a_named_pipe_is_written_to_and_stays_a_pipe() {
    let folder = folder();
    let pipe = folder.path().join("p");
    make_pipe(&pipe);
    // The reader may come later than the writer.
    let script = "(sleep 0.3; timeout 20 cat p > b.raw) & \
                  $DUMP convert a.core p --format raw --manifest p.jsonl --force; \
                  code=$?; wait; exit $code";
    let run = shell(folder.path(), script);
    assert!(run.status.success(), "{run:?}");
    assert!(fs::metadata(&pipe).unwrap().file_type().is_fifo());
    assert!(same(folder.path(), "b.raw"));
    assert!(!folder.path().join("p.partial").exists());
    let manifest = fs::read_to_string(folder.path().join("p.jsonl")).unwrap();
    assert!(manifest.contains("\"complete\""), "{manifest}");
}

#[test]
fn a_pipe_needs_a_manifest_elsewhere_and_waiting_for_its_reader_can_be_ended() {
    let folder = folder();
    make_pipe(&folder.path().join("p"));
    let run = shell(folder.path(), "$DUMP convert a.core p --format raw");
    assert_eq!(run.status.code(), Some(2));
    let said = String::from_utf8_lossy(&run.stderr).into_owned();
    assert!(said.contains("--manifest"), "{said}");

    let child = Command::new(env!("CARGO_BIN_EXE_linpmem-dump"))
        .args(["convert", "a.core", "p", "--format", "raw"])
        .args(["--manifest", "p.jsonl"])
        .current_dir(folder.path())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_millis(500));
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    let ended = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), Some(1), "{said}");
    assert!(
        said.contains("SIGTERM") && said.contains("reads from the pipe p"),
        "{said}"
    );
    assert!(!folder.path().join("p.jsonl.partial").exists());
}

/// Without --force: a program that does not know its stdout would replace the link.
#[test]
fn the_name_of_stdout_is_stdout() {
    let folder = folder();
    symlink("/proc/self/fd/1", folder.path().join("out")).unwrap();
    let words = "--format raw --manifest m";
    for script in [
        format!("$DUMP convert a.core out {words} > b.raw"),
        format!("$DUMP convert a.core out {words} | cat > b.raw"),
        format!("$DUMP convert a.core /dev/stdout {words} > b.raw"),
        format!("$DUMP convert a.core /proc/self/fd/1 {words} > b.raw"),
        format!("$DUMP convert a.core /dev/fd/5 {words} 5>&1 | cat > b.raw"),
    ] {
        for left in ["b.raw", "m"] {
            let _ = fs::remove_file(folder.path().join(left));
        }
        let run = shell(folder.path(), &script);
        assert!(run.status.success(), "{script}: {run:?}");
        assert!(same(folder.path(), "b.raw"), "{script}");
        assert!(folder.path().join("out").is_symlink());
    }
}

/// Hashing the zeros in the hole would take from ten minutes to hours.
#[test]
fn a_large_hole_costs_the_hash_of_the_file_not_hours() {
    let folder = tempfile::tempdir().unwrap();
    let mut source = Fake::default().source();
    let far = Region {
        range: range(1 << 40, (1 << 40) + 0xfff),
        kind: RegionKind::SystemRam,
    };
    source.map =
        linpmem_phys::MemoryMap::new(source.map.regions().iter().copied().chain([far])).unwrap();
    let begin = Instant::now();
    let summary = crate::fake::acquire_source(folder.path(), &["a.padded"], source).unwrap();
    assert!(begin.elapsed() < Duration::from_secs(60));
    assert_eq!(summary.exit_status().code(), 0, "{summary}");
    let manifest = crate::fake::manifest_of(&summary);
    assert_eq!(manifest.footer.file.sha256, None);
    let [warning] = &manifest.footer.warnings[..] else {
        panic!("{:?}", manifest.footer.warnings);
    };
    assert!(warning.contains("no hash of the whole file"), "{warning}");
    let (code, said) = crate::fake::verify(&folder.path().join("a.padded"));
    assert_eq!(code, 0, "{said}");
}
