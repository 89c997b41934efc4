// SPDX-License-Identifier: MIT OR Apache-2.0
//! An image that is mounted for a test.

use rustix::mount::{UnmountFlags, unmount};
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A mounted image. Dropping it unmounts it and ends the program.
pub struct Mount {
    pub program: Child,
    pub folder: PathBuf,
    /// What the program said on stdout.
    pub line: String,
}

/// What a test needs. It fails where that is missing: a skipped test would look like a passed one.
pub fn may_mount() {
    assert!(
        rustix::process::geteuid().is_root(),
        "tests of `mount` mount file systems: run them as root"
    );
    assert!(
        Path::new("/dev/fuse").exists(),
        "tests of `mount` need /dev/fuse: load the kernel's module (modprobe fuse)"
    );
}

pub fn program(at: &Path, words: &[&str]) -> Command {
    // Whoever runs the tests may ignore signals, as background jobs of a shell do, and the program
    // goes on ignoring them.
    let mut command = Command::new("env");
    command.arg("--default-signal=INT,TERM,HUP");
    command.arg(env!("CARGO_BIN_EXE_linpmem-dump"));
    command.current_dir(at).arg("mount").args(words);
    command
}

/// What the program says when it does not mount anything.
pub fn refused(at: &Path, words: &[&str]) -> Output {
    program(at, words).output().unwrap()
}

impl Mount {
    /// Mounts the image that `words` name on a new folder in `at`.
    pub fn new(at: &Path, words: &[&str]) -> Self {
        may_mount();
        let folder = tempfile::tempdir_in(at).unwrap().keep();
        let mut command = program(at, words);
        command.arg(&folder).stdout(Stdio::piped());
        let mut program = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        let mut stdout = BufReader::new(program.stdout.take().unwrap());
        stdout.read_line(&mut line).unwrap();
        if line.is_empty() {
            let mut said = String::new();
            let mut stderr = program.stderr.take().unwrap();
            stderr.read_to_string(&mut said).unwrap();
            panic!("{words:?}: {said}");
        }
        // The rest of a document.
        let mut mount = Self {
            program,
            folder,
            line,
        };
        if mount.line == "{\n" {
            while !mount.line.ends_with("\n}\n") {
                assert!(stdout.read_line(&mut mount.line).unwrap() > 0);
            }
        }
        mount
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    pub fn text(&self, name: &str) -> String {
        String::from_utf8(self.read(name)).unwrap()
    }

    /// The names in a folder, sorted.
    pub fn names(&self, name: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(name)).unwrap_or_else(|error| {
            let reason = fs::read_to_string(self.path("kernel-not-found.txt"));
            panic!("{name}: {error} ({reason:?})")
        });
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// What a program prints that succeeds in the mounted folder.
    pub fn run(&self, words: &[&str]) -> String {
        let mut command = Command::new(words[0]);
        command.current_dir(&self.folder).args(&words[1..]);
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{words:?}: {said}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Waits until the program ends.
    pub fn wait(&mut self) -> ExitStatus {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.program.try_wait().unwrap() {
                return status;
            }
            assert!(begin.elapsed() < PATIENCE, "the program goes on");
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Unmounts it as anybody does; returns the exit code, and what was said on stderr.
    pub fn end(mut self) -> (Option<i32>, String) {
        // A program that another test starts has a copy of this one's files for a moment.
        let begin = Instant::now();
        loop {
            let umount = Command::new("umount").arg(&self.folder).output().unwrap();
            if umount.status.success() {
                break;
            }
            let said = String::from_utf8_lossy(&umount.stderr).into_owned();
            assert!(begin.elapsed() < PATIENCE, "{said}");
            thread::sleep(Duration::from_millis(100));
        }
        let status = self.wait();
        let mut said = String::new();
        let mut stderr = self.program.stderr.take().unwrap();
        stderr.read_to_string(&mut said).unwrap();
        (status.code(), said)
    }

    pub fn is_mounted(&self) -> bool {
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
        let folder = self.folder.to_string_lossy().into_owned();
        mounts
            .lines()
            .any(|line| line.split(' ').nth(1) == Some(&folder))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Both fail if it has ended.
        let _ = unmount(&self.folder, UnmountFlags::DETACH);
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}
