// SPDX-License-Identifier: MIT OR Apache-2.0
//! An image that is mounted on the host.

use crate::host_dumper;
use anyhow::{Context, Result, ensure};
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long the program may take to unmount an image.
const PATIENCE: Duration = Duration::from_secs(60);

/// A mounted image. Dropping it unmounts it.
pub struct MountedImage {
    program: Child,
    folder: TempDir,
}

impl MountedImage {
    /// Mounts `image` on a new folder.
    pub fn new(image: &Path) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        // Who runs the tests may ignore signals.
        let mut command = Command::new("env");
        command.arg("--default-signal=INT,TERM,HUP");
        command.arg(host_dumper::command()?.get_program());
        command.arg("mount").arg(image).arg(folder.path());
        let program = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        let mut mounted = Self {
            program: program?,
            folder,
        };
        let stdout = mounted.program.stdout.take().context("no stdout")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        ensure!(
            line.contains("is mounted on"),
            "{}: {line}",
            image.display()
        );
        Ok(mounted)
    }

    /// A file or folder in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The memory of a process: offsets are its addresses.
    pub fn memory(&self, pid: u64) -> Result<File> {
        let path = self.path(&format!("pid/{pid}/mem"));
        File::open(&path).with_context(|| path.display().to_string())
    }

    /// Unmounts it by SIGTERM.
    pub fn end(mut self) -> Result<()> {
        let id = self.program.id().to_string();
        let killed = Command::new("kill").args(["-TERM", &id]).status()?;
        ensure!(killed.success(), "no process {id}");
        let begin = Instant::now();
        let status = loop {
            if let Some(status) = self.program.try_wait()? {
                break status;
            }
            ensure!(begin.elapsed() < PATIENCE, "the program goes on");
            thread::sleep(Duration::from_millis(20));
        };
        ensure!(status.success(), "{status}");
        let left = fs::read_dir(self.folder.path())?.count();
        ensure!(left == 0, "{left} files are left");
        Ok(())
    }
}

impl Drop for MountedImage {
    fn drop(&mut self) {
        // After `end`, there is nothing to do.
        if matches!(self.program.try_wait(), Ok(None)) {
            // Also where a file is still open, after a comparison that failed.
            let mut umount = Command::new("umount");
            let _ = umount.arg("-l").arg(self.folder.path()).status();
            let _ = self.program.kill();
            let _ = self.program.wait();
        }
    }
}
