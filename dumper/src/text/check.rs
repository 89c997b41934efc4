// SPDX-License-Identifier: MIT OR Apache-2.0
//! `linpmem-dump check`: whether an image can be analysed.

use super::figures::{count, processes};
use super::troubles;
use linpmem_cli::{Document, printable};
use linpmem_phys::num::usize_as_u64;
use serde::Serialize;
use std::fmt::Display;
use std::io::{self, Write};
use std::path::Path;

/// Whether an image can be analysed, and by what that is known.
#[derive(Clone, Debug, Serialize)]
pub struct CheckDocument {
    /// The image.
    pub image: String,
    /// The answer.
    pub verdict: Verdict,
    /// The answer in a sentence.
    pub summary: String,
    /// What is wrong with it, a sentence each.
    pub findings: Vec<String>,
    /// What is odd about the machine or the image, and is no damage.
    pub notes: Vec<String>,
    /// What to do.
    pub advice: Vec<String>,
    /// The kernel's banner, as it is in memory.
    pub kernel: Option<String>,
    /// The boot.
    pub boot: Option<BootRow>,
    /// The processes.
    pub processes: Option<ProcessesRow>,
    /// The modules.
    pub modules: Option<ModulesRow>,
    /// The processors.
    pub cpus: Option<CpusRow>,
    /// The kernel's code.
    pub kernel_code: Option<CodeRow>,
    /// The memory of processes.
    pub user_pages: Option<UserPagesRow>,
    /// Tasks, modules and address spaces that were looked at.
    pub structures: u64,
    /// Contradictions among them.
    pub torn: u64,
    /// What could not be checked, and why.
    pub unchecked: Vec<String>,
    /// What contradicts itself in memory, a sentence each.
    pub troubles: Vec<String>,
    /// How many more there are.
    pub more_troubles: u64,
}

/// The check at the end of an acquisition.
#[derive(Clone, Debug)]
pub enum RunCheck {
    /// What was found.
    Done(Box<CheckDocument>),
    /// Why nothing could be.
    NotDone(String),
}

impl RunCheck {
    /// Of a check that may have failed.
    #[must_use]
    pub fn of<E: Display>(checked: Result<CheckDocument, E>) -> Self {
        match checked {
            Ok(document) => Self::Done(Box::new(document)),
            Err(error) => Self::NotDone(error.to_string()),
        }
    }

    /// Whether the image cannot be analysed.
    #[must_use]
    pub fn is_hopeless(&self) -> bool {
        matches!(self, Self::Done(document) if document.verdict == Verdict::NotAnalysable)
    }

    /// What was found.
    #[must_use]
    pub fn document(&self) -> Option<&CheckDocument> {
        match self {
            Self::Done(document) => Some(document),
            Self::NotDone(_) => None,
        }
    }

    /// Why nothing could be.
    #[must_use]
    pub fn error(&self) -> Option<&str> {
        match self {
            Self::Done(_) => None,
            Self::NotDone(error) => Some(error),
        }
    }
}

/// Whether an image can be analysed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It can be.
    Analysable,
    /// Part of it can be.
    Damaged,
    /// It cannot be.
    NotAnalysable,
}

/// The boot, by its id.
#[derive(Clone, Debug, Serialize)]
pub struct BootRow {
    /// In the artifacts.
    pub kept: String,
    /// In memory; none if nobody had asked the kernel for it.
    pub in_memory: Option<String>,
}

/// The processes in an image, beside those that /proc listed.
#[derive(Clone, Debug, Serialize)]
pub struct ProcessesRow {
    /// Those in the image.
    pub in_image: u64,
    /// Their threads.
    pub threads: u64,
    /// How many /proc listed before memory was read.
    pub listed_before: Option<u64>,
    /// And after.
    pub listed_after: Option<u64>,
    /// Those that it listed both times, and that are not in the image.
    pub missing: Vec<ProcessRow>,
    /// Those that are in the image, are older, and that it did not list.
    pub hidden: Vec<ProcessRow>,
}

/// A process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProcessRow {
    /// Its number.
    pub pid: i32,
    /// Its name.
    pub name: String,
}

/// The modules in an image, beside those that /proc/modules listed.
#[derive(Clone, Debug, Serialize)]
pub struct ModulesRow {
    /// Those in the image.
    pub in_image: u64,
    /// How many were listed.
    pub listed: Option<u64>,
    /// Those that are not in the image.
    pub missing: Vec<String>,
    /// Those that were not listed.
    pub hidden: Vec<String>,
}

/// The processors.
#[derive(Clone, Debug, Serialize)]
pub struct CpusRow {
    /// How many there are.
    pub count: u64,
    /// Those whose run queue has their number and runs a task that is there.
    pub sane: u64,
}

/// Pages of code.
#[derive(Clone, Debug, Serialize)]
pub struct CodeRow {
    /// Those that were looked at.
    pub pages: u64,
    /// Those with zeros alone.
    pub empty: u64,
    /// Those that the image does not have.
    pub unreadable: u64,
}

/// What the page tables of processes lead to.
#[derive(Clone, Debug, Serialize)]
pub struct UserPagesRow {
    /// Processes whose page tables were followed.
    pub processes: u64,
    /// Pages that they lead to.
    pub mapped: u64,
    /// Those that are not in the image.
    pub outside: u64,
    /// Pages in swap, or about to be moved.
    pub swapped: u64,
    /// Those of them that are in swap areas which were kept with the image.
    pub kept_in_swap: u64,
    /// Page tables that are missing, or lead out of memory.
    pub broken_tables: u64,
    /// Processes whose pages the kernel has counted, and that were followed to their end.
    pub counted_processes: u64,
    /// The pages that it has counted.
    pub counted: u64,
    /// The pages that were found.
    pub found: u64,
    /// Their programs and libraries.
    pub code: CodeRow,
}

impl CheckDocument {
    /// Of the image at `path`, without anything known yet.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self {
            image: path.to_string_lossy().into_owned(),
            verdict: Verdict::NotAnalysable,
            summary: String::new(),
            findings: Vec::new(),
            notes: Vec::new(),
            advice: Vec::new(),
            kernel: None,
            boot: None,
            processes: None,
            modules: None,
            cpus: None,
            kernel_code: None,
            user_pages: None,
            structures: 0,
            torn: 0,
            unchecked: Vec::new(),
            troubles: Vec::new(),
            more_troubles: 0,
        }
    }

    /// Notes that `what` could not be checked.
    pub fn could_not(&mut self, what: &str, error: &dyn Display) {
        self.unchecked.push(format!("{what}: {error}"));
    }

    /// Whether it has processes or modules that the machine itself did not list.
    #[must_use]
    pub fn has_strangers(&self) -> bool {
        let has_hidden = |row: &ProcessesRow| !row.hidden.is_empty();
        self.processes.as_ref().is_some_and(has_hidden)
            || self
                .modules
                .as_ref()
                .is_some_and(|row| !row.hidden.is_empty())
    }

    /// The figures in a few words.
    #[must_use]
    pub fn in_short(&self) -> String {
        let mut short = Vec::new();
        if let Some(row) = &self.processes {
            let in_image = format!("{} in the image", processes(row.in_image));
            short.push(match (row.listed_before, row.listed_after) {
                (Some(before), Some(after)) if before != after => {
                    let (low, high) = (before.min(after), before.max(after));
                    format!("{in_image}, {low} to {high} in /proc")
                }
                (Some(listed), _) | (None, Some(listed)) => {
                    format!("{in_image}, {listed} in /proc")
                }
                (None, None) => in_image,
            });
        }
        short.push(match self.torn {
            0 => "nothing torn".to_owned(),
            torn => format!("{torn} torn"),
        });
        let hidden = self.processes.as_ref().map_or(0, |row| row.hidden.len());
        if hidden > 0 {
            short.push(format!("{hidden} that /proc did not list"));
        }
        let hidden = self.modules.as_ref().map_or(0, |row| row.hidden.len());
        if hidden > 0 {
            let modules = count(usize_as_u64(hidden), "module");
            short.push(format!("{modules} that /proc/modules did not list"));
        }
        short.join("; ")
    }
}

impl Document for CheckDocument {
    const FORMAT: &'static str = "linpmem-dump check";

    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let (image, summary) = (printable(&self.image), printable(&self.summary));
        writeln!(out, "{image}: {summary}")?;
        for finding in &self.findings {
            writeln!(out, "  wrong:      {}", printable(finding))?;
        }
        for note in &self.notes {
            writeln!(out, "  note:       {}", printable(note))?;
        }
        for advice in &self.advice {
            writeln!(out, "  advice:     {advice}")?;
        }
        if let Some(kernel) = &self.kernel {
            writeln!(out, "  kernel:     {}", printable(kernel))?;
        }
        self.write_figures(out)?;
        for unchecked in &self.unchecked {
            writeln!(out, "  unchecked:  {}", printable(unchecked))?;
        }
        troubles::write(&self.troubles, self.more_troubles, out)
    }
}

impl CheckDocument {
    /// Writes what a summary of the run says of it.
    pub(super) fn write_in_summary(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "  check:      {}", printable(&self.summary))?;
        for line in self.findings.iter().chain(&self.notes) {
            writeln!(out, "              {}", printable(line))?;
        }
        for line in &self.advice {
            writeln!(out, "              {line}")?;
        }
        Ok(())
    }

    fn write_figures(&self, out: &mut dyn Write) -> io::Result<()> {
        if let Some(row) = &self.boot {
            match &row.in_memory {
                Some(id) if *id == row.kept => writeln!(out, "  boot:       {id}, as kept")?,
                Some(id) => writeln!(out, "  boot:       {}", printable(id))?,
                None => {}
            }
        }
        if let Some(row) = &self.processes {
            let all = processes(row.in_image);
            write!(out, "  threads:    {} in {all}; ", row.threads)?;
            match (row.listed_before, row.listed_after) {
                (Some(before), Some(after)) => writeln!(
                    out,
                    "/proc listed {before} before memory was read, and {after} after"
                )?,
                (Some(before), None) => {
                    writeln!(out, "/proc listed {before} before memory was read")?;
                }
                _ => writeln!(out, "what /proc listed was not kept")?,
            }
        }
        if let Some(row) = &self.modules {
            write!(out, "  modules:    {}", row.in_image)?;
            match row.listed {
                Some(listed) => writeln!(out, "; /proc/modules listed {listed}")?,
                None => writeln!(out)?,
            }
        }
        if let Some(row) = &self.cpus {
            writeln!(
                out,
                "  processors: {} of {} have their own run queue, and run a task that is there",
                row.sane, row.count
            )?;
        }
        if let Some(code) = &self.kernel_code {
            writeln!(
                out,
                "  code:       {} of the kernel's looked at, {} empty, {} missing",
                count(code.pages, "page"),
                code.empty,
                code.unreadable
            )?;
        }
        if let Some(row) = &self.user_pages {
            writeln!(
                out,
                "  programs:   page tables of {} lead to {}, {} of them not in the image; {} swapped{}",
                processes(row.processes),
                count(row.mapped, "page"),
                row.outside,
                row.swapped,
                match row.kept_in_swap {
                    0 => String::new(),
                    kept => format!(", {kept} of them in areas that were kept"),
                }
            )?;
            writeln!(
                out,
                "              {} of code read, {} empty; the kernel counted {} where {} were found",
                count(row.code.pages, "page"),
                row.code.empty,
                count(row.counted, "page"),
                row.found
            )?;
        }
        Ok(())
    }
}
