// SPDX-License-Identifier: MIT OR Apache-2.0
//! One step of the set-up: a line when it starts, a line when it ends, and a
//! log of what its programs said.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, anyhow, bail};

use crate::cache::Cache;

/// How many of a log's last lines an error shows.
const SHOWN_LINES: usize = 12;

/// The log of a step that is under way.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    file: File,
}

/// Runs `work` as the step `name`, which makes `what`.
///
/// # Errors
/// Those of `work`, with the step's name and its log.
pub fn step<T>(
    cache: &Cache,
    name: &str,
    what: &str,
    work: impl FnOnce(&mut Log) -> Result<T>,
) -> Result<T> {
    let started = Instant::now();
    println!("[setup] {name}: {what}");
    let mut log = Log::create(&cache.log(name))?;
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
                "the step `{name}` ({what}) failed: {error:#}\n\
                 Its whole log is {}. The next try takes up where this one stopped.",
                log.path.display()
            ))
        }
    }
}

impl Log {
    fn create(path: &Path) -> Result<Self> {
        let context = || format!("cannot write the log {}", path.display());
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir).with_context(context)?;
        }
        let file = File::create(path).with_context(context)?;
        Ok(Self {
            path: path.to_path_buf(),
            file,
        })
    }

    /// Adds a line of our own.
    pub fn say(&mut self, line: &str) {
        // A log that cannot be written must not stop the work.
        let _ = writeln!(self.file, "{line}");
    }

    /// Runs `command` to its end, with all it says going to the log.
    ///
    /// # Errors
    /// When it cannot be started, or ends with another code than 0: the error
    /// shows the last lines.
    pub fn run(&mut self, command: &mut Command) -> Result<()> {
        let program = self.announce(command);
        let status = command
            .stdin(Stdio::null())
            .stdout(self.file.try_clone()?)
            .stderr(self.file.try_clone()?)
            .status()
            .with_context(|| format!("cannot start `{program}`"))?;
        if !status.success() {
            bail!(
                "`{program}` ended with {status}; its last lines:\n{}",
                self.tail()
            );
        }
        Ok(())
    }

    /// As [`Log::run`], but what it writes to stdout comes back as text.
    ///
    /// # Errors
    /// As [`Log::run`].
    pub fn output(&mut self, command: &mut Command) -> Result<String> {
        let program = self.announce(command);
        let output = command
            .stdin(Stdio::null())
            .stderr(self.file.try_clone()?)
            .output()
            .with_context(|| format!("cannot start `{program}`"))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        self.say(&text);
        if !output.status.success() {
            bail!(
                "`{program}` ended with {}; its last lines:\n{}",
                output.status,
                self.tail()
            );
        }
        Ok(text)
    }

    /// Writes the command line to the log; what to call it in an error.
    fn announce(&mut self, command: &Command) -> String {
        let mut words = vec![command.get_program().to_string_lossy().into_owned()];
        words.extend(
            command
                .get_args()
                .map(|arg| arg.to_string_lossy().into_owned()),
        );
        // For a program in the Debian tree, what runs there is of interest,
        // not the way into it.
        if words.first().is_some_and(|program| program == "unshare") {
            if let Some(end) = words.iter().skip(5).rposition(|word| word == "--") {
                words.drain(..end + 6);
            }
        }
        let line = words.join(" ");
        self.say(&format!("+ {line}"));
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
        let mut tail = String::new();
        for line in lines.iter().skip(lines.len().saturating_sub(SHOWN_LINES)) {
            let _ = writeln!(tail, "    {line}");
        }
        tail
    }
}
