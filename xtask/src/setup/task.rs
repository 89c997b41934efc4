// SPDX-License-Identifier: MIT OR Apache-2.0
//! One task of the set-up: a line when it starts, a line when it ends, and a log of
//! what its programs print.

use anyhow::{Context, Result, anyhow, bail};
use linpmem_testkit::cache::Cache;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

/// How many of a log's last lines an error shows.
const SHOWN_LINES: usize = 12;

/// The log of a running task.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    file: File,
}

/// Runs `work` as the task `name`, which makes `what`. Errors name the task's log.
pub fn task<T>(
    cache: &Cache,
    name: &str,
    what: &str,
    work: impl FnOnce(&mut Log) -> Result<T>,
) -> Result<T> {
    let started = Instant::now();
    println!("[setup] {name}: {what}");
    let logs = cache.dir().join("logs");
    let path = logs.join(format!("{name}.log"));
    let file = fs::create_dir_all(&logs).and_then(|()| File::create(&path));
    let file = file.with_context(|| format!("cannot create the log {}", path.display()))?;
    let mut log = Log { path, file };
    let outcome = work(&mut log);
    let seconds = started.elapsed().as_secs_f64();
    match outcome {
        Ok(value) => {
            println!("[setup] {name}: done in {seconds:.1} s");
            Ok(value)
        }
        Err(error) => {
            println!("[setup] {name}: FAILED after {seconds:.1} s");
            Err(anyhow!(
                "the task `{name}` ({what}) failed: {error:#}\n\
                 Its full log is {}. Run the set-up again to continue where it stopped.",
                log.path.display()
            ))
        }
    }
}

impl Log {
    /// Adds a line.
    pub fn add(&mut self, line: &str) {
        // A log that cannot be written must not stop the work.
        let _ = writeln!(self.file, "{line}");
    }

    /// Runs `command`, which must succeed; its output goes to the log. An error shows
    /// the log's last lines.
    pub fn run(&mut self, command: &mut Command) -> Result<()> {
        let stdout = self.file.try_clone()?.into();
        self.execute(command, stdout).map(drop)
    }

    /// As [`Log::run`], but returns what the program prints to stdout.
    pub fn output(&mut self, command: &mut Command) -> Result<String> {
        let text = self.execute(command, Stdio::piped())?;
        self.add(&text);
        Ok(text)
    }

    fn execute(&mut self, command: &mut Command, stdout: Stdio) -> Result<String> {
        let program = self.announce(command);
        let child = command
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(self.file.try_clone()?)
            .spawn()
            .with_context(|| format!("cannot start `{program}`"))?;
        let output = child.wait_with_output()?;
        if !output.status.success() {
            bail!(
                "`{program}` failed ({}); its last lines:\n{}",
                output.status,
                self.tail()
            );
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Writes the command line to the log. Returns a short form of it for errors.
    fn announce(&mut self, command: &Command) -> String {
        let mut words = vec![command.get_program().to_string_lossy().into_owned()];
        words.extend(
            command
                .get_args()
                .map(|arg| arg.to_string_lossy().into_owned()),
        );
        // For a program in a Debian tree, skip the way into the tree.
        if words.first().is_some_and(|program| program == "unshare") {
            if let Some(end) = words.iter().skip(5).rposition(|word| word == "--") {
                words.drain(..end + 6);
            }
        }
        let line = words.join(" ");
        self.add(&format!("+ {line}"));
        let mut short: String = line.chars().take(100).collect();
        if short.len() < line.len() {
            short.push('…');
        }
        short
    }

    fn tail(&self) -> String {
        let text = fs::read(&self.path).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text
            .lines()
            .filter(|line| !line.trim().is_empty())
            .collect();
        let shown = lines.iter().skip(lines.len().saturating_sub(SHOWN_LINES));
        shown.map(|line| format!("    {line}\n")).collect()
    }
}
