// SPDX-License-Identifier: MIT OR Apache-2.0
//! `linpmem-dump doctor`: whether this machine is ready for an acquisition.

use super::figures::rate;
use linpmem_cli::{Document, ExitStatus, printable};
use linpmem_manifest::{Missing, Remark};
use serde::Serialize;
use std::io::{self, Write};
use std::time::Duration;

/// The columns of a finding before its text.
const INDENT: usize = 18;

/// The most columns of a line.
const WIDTH: usize = 96;

/// What was found on this machine, and what it means.
#[derive(Debug, Serialize)]
pub struct DoctorDocument {
    /// Whether an acquisition would succeed.
    pub ready: bool,
    /// The machine's name.
    pub host: String,
    /// Its kernel.
    pub kernel: String,
    /// Its architecture.
    pub architecture: String,
    /// Memory that would be read.
    pub planned_bytes: u64,
    /// Where it would be read from; none if nothing works.
    pub source: Option<String>,
    /// Every source by itself.
    pub sources: Vec<SourceCheck>,
    /// The memory by kind.
    pub memory: Vec<KindCheck>,
    /// The module.
    pub module: ModuleCheck,
    /// What the kernel tells of itself.
    pub artifacts: ArtifactsCheck,
    /// Bytes of memory that were read and hashed per second; none if that was not measured.
    pub read_bytes_per_s: Option<u64>,
    /// Where the image would go.
    pub destination: DestinationCheck,
    /// How long an acquisition would take, in seconds; none if that was not measured.
    pub estimate_s: Option<u64>,
    /// What all this means, and what to do.
    pub findings: Vec<Finding>,
    /// The command that would acquire the memory; none if the machine is not ready.
    pub command: Option<String>,
}

/// A source that was tried.
#[derive(Debug, Serialize)]
pub struct SourceCheck {
    /// What `--source` calls it.
    pub name: &'static str,
    /// Whether it works.
    pub works: bool,
    /// What it has, or why it does not work.
    pub detail: String,
}

/// The memory of one kind.
#[derive(Debug, Serialize)]
pub struct KindCheck {
    /// What the kernel calls it.
    pub kind: &'static str,
    /// All of it.
    pub bytes: u64,
    /// What would be read of it.
    pub read_bytes: u64,
    /// The source that has it.
    pub source: Option<String>,
}

/// The module.
#[derive(Debug, Serialize)]
pub struct ModuleCheck {
    /// Whether one is loaded.
    pub loaded: bool,
    /// Whether `--driver fit` would load one.
    pub fits: bool,
    /// Why not.
    pub reason: Option<String>,
    /// Whether the kernel's headers are here.
    pub headers: bool,
    /// Whether modules in Rust can be built with them.
    pub rust_metadata: bool,
}

/// What the kernel tells of itself.
#[derive(Debug, Serialize)]
pub struct ArtifactsCheck {
    /// The artifacts that there are.
    pub present: Vec<String>,
    /// Those that there are not.
    pub missing: Vec<Missing>,
    /// What to know of those that there are.
    pub remarks: Vec<Remark>,
}

/// The place for the image.
#[derive(Debug, Serialize)]
pub struct DestinationCheck {
    /// What it is.
    pub kind: PlaceKind,
    /// The folder, the receiver's address without its secret, or the store's host.
    pub name: String,
    /// Its free space, if that is known.
    pub free_bytes: Option<u64>,
    /// What an image takes that is not compressed.
    pub needed_bytes: Option<u64>,
    /// Bytes that it takes per second, if that was measured.
    pub bytes_per_s: Option<u64>,
}

/// What a place is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PlaceKind {
    /// A folder of this machine.
    Folder,
    /// Another machine.
    Receiver,
    /// An object store.
    Store,
}

/// Something that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it is about, in a word.
    pub topic: &'static str,
    /// How bad it is.
    pub verdict: Verdict,
    /// What was found.
    pub text: String,
    /// What to do about it.
    pub advice: Option<String>,
}

/// How bad something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// As it should be.
    Good,
    /// Worth knowing.
    Note,
    /// An acquisition fails with it.
    Bad,
}

impl Verdict {
    const fn word(self) -> &'static str {
        match self {
            Self::Good => "ok",
            Self::Note => "note",
            Self::Bad => "FAIL",
        }
    }
}

impl DoctorDocument {
    /// A machine that is not ready is a failure, so that many can be asked at once.
    #[must_use]
    pub fn exit_status(&self) -> ExitStatus {
        match self.ready {
            true => ExitStatus::Complete,
            false => ExitStatus::Failed,
        }
    }
}

impl Document for DoctorDocument {
    const FORMAT: &'static str = "linpmem-dump doctor";

    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let host = printable(&self.host);
        let (kernel, architecture) = (printable(&self.kernel), printable(&self.architecture));
        writeln!(out, "{host}: Linux {kernel}, {architecture}\n")?;
        for finding in &self.findings {
            write!(out, "{:>4}  {:<12}", finding.verdict.word(), finding.topic)?;
            wrapped(out, &finding.text)?;
            if let Some(advice) = &finding.advice {
                write!(out, "{:INDENT$}", "")?;
                wrapped(out, &format!("→ {advice}"))?;
            }
        }
        writeln!(out)?;
        match &self.command {
            Some(command) => writeln!(out, "This machine is ready:\n\n    {}", printable(command)),
            None => writeln!(
                out,
                "This machine is NOT ready: see what is marked with {}.",
                Verdict::Bad.word()
            ),
        }
    }
}

/// Writes `text`, of which the first line begins at [`INDENT`], within [`WIDTH`] columns.
fn wrapped(out: &mut dyn Write, text: &str) -> io::Result<()> {
    for (number, line) in text.lines().enumerate() {
        if number > 0 {
            write!(out, "{:INDENT$}", "")?;
        }
        let mut column = INDENT;
        for (number, word) in printable(line).split_whitespace().enumerate() {
            let len = word.chars().count();
            if number > 0 && column + 1 + len > WIDTH {
                write!(out, "\n{:INDENT$}", "")?;
                column = INDENT;
            } else if number > 0 {
                write!(out, " ")?;
                column += 1;
            }
            write!(out, "{word}")?;
            column += len;
        }
        writeln!(out)?;
    }
    Ok(())
}

/// Bytes per second in words.
#[must_use]
pub fn per_second(bytes: u64) -> String {
    rate(bytes, Duration::from_secs(1))
}

/// A time in words, rounded up to what people count.
#[must_use]
pub fn about(seconds: u64) -> String {
    match seconds {
        0..=1 => "a second".to_owned(),
        2..=99 => format!("{seconds} seconds"),
        100..=5999 => format!("{} minutes", seconds.div_ceil(60)),
        _ => format!("{} hours", seconds.div_ceil(3600)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_in_words() {
        assert_eq!(about(0), "a second");
        assert_eq!(about(99), "99 seconds");
        assert_eq!(about(100), "2 minutes");
        assert_eq!(about(5999), "100 minutes");
        assert_eq!(about(6000), "2 hours");
    }

    #[test]
    fn long_findings_are_wrapped_between_words() {
        let mut out = Vec::new();
        wrapped(&mut out, &"word ".repeat(40)).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.matches("word").count(), 40);
        let mut lines = text.lines();
        assert!(lines.next().unwrap().len() <= WIDTH - INDENT);
        for line in lines {
            assert!(
                line.len() <= WIDTH && line.starts_with(&" ".repeat(INDENT)),
                "{line}"
            );
        }
    }
}
