// SPDX-License-Identifier: MIT OR Apache-2.0
//! The last words of a run.

use crate::digest::Sha256Sum;
use crate::hashes::HashRecord;
use crate::manifest::{EvidencePlace, EvidenceRecord, SecondPassTotals, State, UnreadableRecord};
use crate::measure::per_cent;
use crate::naming::{ImageFormat, Shape};
use crate::pipeline::{End, Outcome};
use crate::progress::rate;
use crate::symbols::{Made, usage};
use linpmem_formats::Codec;
use linpmem_phys::PhysLen;
use serde::Serialize;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// How a run went.
#[derive(Debug)]
pub struct Summary {
    /// How it ended.
    pub state: State,
    /// What the image is called.
    pub image: PathBuf,
    /// What the manifest is called.
    pub manifest: PathBuf,
    /// Where the memory came from.
    pub source: String,
    /// What came of it.
    pub outcome: Outcome,
    /// Bytes that were to be read.
    pub planned: PhysLen,
    /// Ranges that were to be read.
    pub ranges: usize,
    /// The image's form.
    pub shape: Shape,
    /// The symbol file that was made for it.
    pub symbols: Option<Made>,
    /// The command that opens it in crash, if that is not simply its name.
    pub crash: Option<String>,
    /// Levels of the kernel's page tables.
    pub paging_levels: Option<u32>,
    /// What changed until the memory was read once more, if it was.
    pub second_pass: Option<SecondPassTotals>,
    /// How long it took.
    pub elapsed: Duration,
    /// What lies beside the memory.
    pub evidence: Option<EvidenceRecord>,
}

/// A summary as one line of JSON.
#[derive(Serialize)]
struct Line<'a> {
    event: &'static str,
    state: State,
    image: String,
    manifest: String,
    source: &'a str,
    planned_bytes: u64,
    image_bytes: u64,
    file_bytes: u64,
    sha256: Option<Sha256Sum>,
    symbols: Option<String>,
    unreadable_pages: u64,
    first_unreadable: Vec<UnreadableRecord>,
    #[serde(skip_serializing_if = "Option::is_none")]
    second_pass: Option<&'a SecondPassTotals>,
    seconds: f64,
    error: Option<&'a str>,
}

impl Summary {
    /// The exit code that says the same.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self.state {
            State::Complete => 0,
            State::CompleteWithUnreadable => 3,
            State::Interrupted | State::Failed => 1,
        }
    }

    /// The summary as one line of JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        let error = self.error();
        let line = Line {
            event: "summary",
            state: self.state,
            image: self.image.to_string_lossy().into_owned(),
            manifest: self.manifest.to_string_lossy().into_owned(),
            source: &self.source,
            planned_bytes: self.planned.get(),
            image_bytes: self.outcome.file.image_length,
            file_bytes: self.outcome.file.file_length,
            sha256: self.outcome.file.sha256,
            symbols: self
                .symbols
                .as_ref()
                .map(|made| made.path.to_string_lossy().into_owned()),
            unreadable_pages: self.outcome.unreadable_pages,
            first_unreadable: self
                .outcome
                .first_unreadable
                .iter()
                .map(|&item| item.into())
                .collect(),
            second_pass: self.second_pass.as_ref(),
            seconds: self.elapsed.as_secs_f64(),
            error: error.as_deref(),
        };
        serde_json::to_string(&line).unwrap_or_default()
    }

    fn error(&self) -> Option<String> {
        match &self.outcome.end {
            End::Failed(error) => Some(error.to_string()),
            End::Interrupted(reason) => Some(reason.to_string()),
            End::Whole => None,
        }
    }

    const fn is_aff4(&self) -> bool {
        matches!(self.shape.format, ImageFormat::Aff4(_))
    }

    fn is_stdout(&self) -> bool {
        self.image.as_os_str() == "-"
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = &self.outcome.file;
        let image = if self.is_stdout() {
            "the image on stdout".to_owned()
        } else {
            self.image.display().to_string()
        };
        match self.state {
            State::Complete | State::CompleteWithUnreadable => writeln!(
                f,
                "{image} is complete: {} in {} {}, {:.1} s, {}",
                self.planned,
                self.ranges,
                if self.ranges == 1 { "range" } else { "ranges" },
                self.elapsed.as_secs_f64(),
                rate(self.planned.get(), self.elapsed),
            )?,
            State::Interrupted => writeln!(
                f,
                "{} after {} of {}: {image} is not complete",
                self.error().unwrap_or_default(),
                PhysLen::new(self.outcome.read_bytes),
                self.planned,
            )?,
            State::Failed => {
                let error = self.error().unwrap_or_default();
                writeln!(f, "failed: {error}")?;
                writeln!(f, "{image} is not complete")?;
            }
        }
        if self.shape.codec != Codec::None {
            writeln!(
                f,
                "  file:       {} ({} before compression)",
                PhysLen::new(file.file_length),
                PhysLen::new(file.image_length)
            )?;
        } else {
            writeln!(f, "  file:       {}", PhysLen::new(file.file_length))?;
        }
        writeln!(f, "  source:     {}", self.source)?;
        writeln!(f, "  manifest:   {}", self.manifest.display())?;
        if let Some(evidence) = &self.evidence {
            writeln!(f, "  evidence:   {}", told(evidence))?;
        }
        if self.is_aff4() && !self.state.is_whole() && !self.is_stdout() {
            writeln!(
                f,
                "  recover:    `linpmem-dump recover {image}` makes a volume of what is there"
            )?;
        }
        if let Some(sum) = file.sha256 {
            writeln!(f, "  sha256:     {sum}")?;
        }
        for HashRecord { algorithm, digest } in &file.hashes {
            writeln!(f, "  {:<11} {digest}", format!("{}:", algorithm.name()))?;
        }
        if let Some(command) = &self.crash {
            writeln!(f, "  crash:      {command}")?;
        }
        if let Some(made) = &self.symbols {
            let image = Some(self.image.as_path()).filter(|_| !self.is_stdout());
            writeln!(f, "  symbols:    {} ({})", made.path.display(), made.size)?;
            let command = usage(&made.path, image, self.paging_levels);
            writeln!(f, "  Volatility: {command}")?;
        }
        if let Some(totals) = &self.second_pass {
            let SecondPassTotals {
                pages,
                changed_pages,
                ..
            } = totals;
            let share = per_cent(*changed_pages, *pages);
            writeln!(
                f,
                "  changed:    {changed_pages} of {pages} pages ({share}) until the second pass \
                 read them",
            )?;
            if let Some(error) = &totals.error {
                writeln!(f, "              the second pass broke off: {error}")?;
            }
        }
        if self.outcome.unreadable_pages == 0 {
            return Ok(());
        }
        let pages = self.outcome.unreadable_pages;
        let noun = if pages == 1 { "page" } else { "pages" };
        writeln!(
            f,
            "  unreadable: {pages} {noun}, {} in the image and listed in the manifest:",
            match self.shape.format {
                ImageFormat::Aff4(_) => "marked",
                ImageFormat::Kdump(_) => "left out",
                _ => "zero",
            }
        )?;
        let mut shown = 0;
        for item in &self.outcome.first_unreadable {
            shown += item.range.len().pages();
            write!(f, "    {} {}", item.range, item.errno)?;
            match item.errno.meaning() {
                Some(meaning) => writeln!(f, " ({meaning})")?,
                None => writeln!(f)?,
            }
        }
        if shown < pages {
            writeln!(f, "    and {} more", pages - shown)?;
        }
        Ok(())
    }
}

/// What there is beside the memory, and where.
fn told(evidence: &EvidenceRecord) -> String {
    let files = evidence.files.len();
    let noun = if files == 1 { "file" } else { "files" };
    let place = match (evidence.place, &evidence.file) {
        (EvidencePlace::File, Some(name)) => format!("in {name}"),
        _ => "in the image".to_owned(),
    };
    match evidence.missing.len() {
        0 => format!("{files} {noun} {place}"),
        missing => format!("{files} {noun} {place}; {missing} could not be had (linpmem-dump ls)"),
    }
}
