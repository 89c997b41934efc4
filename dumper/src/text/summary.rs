// SPDX-License-Identifier: MIT OR Apache-2.0
//! The summary at the end of a run.

use super::figures::{count, rate, share};
use crate::commands::symbols::{WrittenSymbols, usage};
use linpmem_capture::pipeline::End;
use linpmem_capture::{Acquired, ImageFormat};
use linpmem_formats::Codec;
use linpmem_manifest::{
    ArtifactsPlace, ArtifactsRecord, HashRecord, SecondPassTotals, Sha256Sum, State,
    UnreadableRecord,
};
use linpmem_phys::PhysLen;
use linpmem_phys::num::usize_as_u64;
use serde::Serialize;
use std::fmt;

/// How a run went.
#[derive(Debug)]
pub struct Summary {
    /// What the engine did.
    pub acquired: Acquired,
    /// The symbol file that was written for the image.
    pub symbols: Option<WrittenSymbols>,
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
        match self.acquired.state {
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
            state: self.acquired.state,
            image: self.acquired.image.to_string_lossy().into_owned(),
            manifest: self.acquired.manifest.to_string_lossy().into_owned(),
            source: &self.acquired.source,
            planned_bytes: self.acquired.planned.get(),
            image_bytes: self.acquired.outcome.file.image_length,
            file_bytes: self.acquired.outcome.file.file_length,
            sha256: self.acquired.outcome.file.sha256,
            symbols: self
                .symbols
                .as_ref()
                .map(|made| made.path.to_string_lossy().into_owned()),
            unreadable_pages: self.acquired.outcome.unreadable_pages,
            first_unreadable: self
                .acquired
                .outcome
                .first_unreadable
                .iter()
                .map(|&item| item.into())
                .collect(),
            second_pass: self.acquired.second_pass.as_ref(),
            seconds: self.acquired.elapsed.as_secs_f64(),
            error: error.as_deref(),
        };
        serde_json::to_string(&line).unwrap_or_default()
    }

    fn error(&self) -> Option<String> {
        match &self.acquired.outcome.end {
            End::Failed(error) => Some(error.to_string()),
            End::Interrupted(reason) => Some(reason.to_string()),
            End::Whole => None,
        }
    }

    const fn is_aff4(&self) -> bool {
        matches!(self.acquired.shape.format, ImageFormat::Aff4(_))
    }

    fn is_stdout(&self) -> bool {
        self.acquired.image.as_os_str() == "-"
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = &self.acquired.outcome.file;
        let image = if self.is_stdout() {
            "the image on stdout".to_owned()
        } else {
            self.acquired.image.display().to_string()
        };
        match self.acquired.state {
            State::Complete | State::CompleteWithUnreadable => writeln!(
                f,
                "{image} is complete: {} in {}, {:.1} s, {}",
                self.acquired.planned,
                count(usize_as_u64(self.acquired.ranges), "range"),
                self.acquired.elapsed.as_secs_f64(),
                rate(self.acquired.planned.get(), self.acquired.elapsed),
            )?,
            State::Interrupted => writeln!(
                f,
                "{} after {} of {}; {image} is incomplete",
                self.error().unwrap_or_default(),
                PhysLen::new(self.acquired.outcome.read_bytes),
                self.acquired.planned,
            )?,
            State::Failed => {
                let error = self.error().unwrap_or_default();
                writeln!(f, "failed: {error}")?;
                writeln!(f, "{image} is incomplete")?;
            }
        }
        if self.acquired.shape.codec != Codec::None {
            writeln!(
                f,
                "  file:       {} ({} before compression)",
                PhysLen::new(file.file_length),
                PhysLen::new(file.image_length)
            )?;
        } else {
            writeln!(f, "  file:       {}", PhysLen::new(file.file_length))?;
        }
        writeln!(f, "  source:     {}", self.acquired.source)?;
        writeln!(f, "  manifest:   {}", self.acquired.manifest.display())?;
        if let Some(artifacts) = &self.acquired.artifacts {
            writeln!(f, "  artifacts:  {}", described(artifacts))?;
        }
        if self.is_aff4() && !self.acquired.state.is_whole() && !self.is_stdout() {
            writeln!(
                f,
                "  recover:    `linpmem-dump recover {image}` repairs the volume"
            )?;
        }
        if let Some(sum) = file.sha256 {
            writeln!(f, "  sha256:     {sum}")?;
        }
        for HashRecord { algorithm, digest } in &file.hashes {
            writeln!(f, "  {:<11} {digest}", format!("{}:", algorithm.name()))?;
        }
        if let Some(command) = &self.acquired.crash {
            writeln!(f, "  crash:      {command}")?;
        }
        if let Some(made) = &self.symbols {
            let image = Some(self.acquired.image.as_path()).filter(|_| !self.is_stdout());
            writeln!(f, "  symbols:    {} ({})", made.path.display(), made.size)?;
            let command = usage(&made.path, image, self.acquired.machine.paging_levels);
            writeln!(f, "  Volatility: {command}")?;
        }
        if let Some(totals) = &self.acquired.second_pass {
            let SecondPassTotals {
                pages,
                changed_pages,
                ..
            } = totals;
            let share = share(*changed_pages, *pages);
            writeln!(
                f,
                "  smear:      {changed_pages} of {pages} pages ({share}) changed before the second \
                 pass read them again",
            )?;
            if let Some(error) = &totals.error {
                writeln!(f, "              the second pass ended early: {error}")?;
            }
        }
        if self.acquired.outcome.unreadable_pages == 0 {
            return Ok(());
        }
        let pages = self.acquired.outcome.unreadable_pages;
        let noun = if pages == 1 { "page" } else { "pages" };
        writeln!(
            f,
            "  unreadable: {pages} {noun}, {} in the image and listed in the manifest:",
            match self.acquired.shape.format {
                ImageFormat::Aff4(_) => "marked",
                ImageFormat::Kdump(_) => "left out",
                _ => "zero",
            }
        )?;
        let mut shown = 0;
        for item in &self.acquired.outcome.first_unreadable {
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

/// What was collected with the memory, and where it is.
fn described(artifacts: &ArtifactsRecord) -> String {
    let files = artifacts.files.len();
    let noun = if files == 1 { "file" } else { "files" };
    let place = match (artifacts.place, &artifacts.file) {
        (ArtifactsPlace::File, Some(name)) => format!("in {name}"),
        _ => "in the image".to_owned(),
    };
    match artifacts.missing.len() {
        0 => format!("{files} {noun} {place}"),
        missing => {
            format!("{files} {noun} {place}; {missing} could not be collected (linpmem-dump ls)")
        }
    }
}
