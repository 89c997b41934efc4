// SPDX-License-Identifier: MIT OR Apache-2.0
//! `linpmem-dump compare`: where two images differ.

use crate::args::CompareArgs;
use crate::text::compare::{Report, Verdict};
use linpmem_capture::compare::{CompareError, Difference, Event, Finding, compare_pages};
use linpmem_capture::pages::Pages;
use linpmem_capture::reader::Direct;
use linpmem_capture::source::{ImageSourceError, Source, SourceError, SourceSpec};
use linpmem_capture::{RawInput, Reading};
use linpmem_cli::{ExitStatus, Stderr};
use linpmem_manifest::paths::manifest_beside;
use linpmem_phys::PhysRange;
use std::io::{self, Write};
use std::path::Path;

/// Two images that could not be compared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompareCommandError {
    /// One of them does not open.
    #[error(transparent)]
    Open(#[from] SourceError),
    /// The comparison ended early.
    #[error(transparent)]
    Compare(#[from] CompareError),
    /// stdout cannot be written.
    #[error("writing to stdout: {0}")]
    Output(#[from] io::Error),
}

/// Compares the images of `args`, and writes to `out` which ranges, pages and bytes
/// differ.
///
/// # Errors
/// If one of them does not open or fails as a whole.
pub fn compare(
    args: &CompareArgs,
    out: &mut dyn Write,
    stderr: Stderr,
) -> Result<ExitStatus, CompareCommandError> {
    let reading = Reading {
        budget: args.memory.budget(),
        identities: args.identity.identities(),
        ..Reading::default()
    };
    let input = args.raw.input();
    let [left, right] = [&args.left, &args.right].map(|path| open(path, &reading, &input));
    let (left, right) = (left?, right?);
    let cut = [left.truncation, right.truncation];
    for (path, source) in [(&args.left, &left), (&args.right, &right)] {
        for warning in &source.warnings {
            stderr.warn(&format!("{}: {warning}", path.display()));
        }
    }
    let parts = parts(&left, &right, &args.ranges);
    let names = [&args.left, &args.right].map(|path| path.to_string_lossy().into_owned());
    let mut report = Report::begin(names, args.json, args.all, out)?;
    for &(range, holder) in &parts {
        if let Some(finding) = holder.lacking() {
            report.extent(range, finding, 0)?;
        }
    }
    let shared: Vec<PhysRange> = parts
        .iter()
        .filter(|(_, holder)| *holder == Holder::Both)
        .map(|&(range, _)| range)
        .collect();
    let [left, right] = [Direct(&*left.reader), Direct(&*right.reader)];
    compare_pages([&left, &right], &shared, &mut |event| match event {
        Event::Stretch(Difference {
            range,
            finding,
            bytes,
        }) => report.extent(range, finding, bytes),
        Event::Range(range, tally) => report.range(range, tally),
    })?;
    let is_cut = cut.iter().any(Option::is_some);
    Ok(match report.end()? {
        // What is there of an image that was cut off is equal, but that is not all.
        Verdict::Lacking | Verdict::Equal if is_cut => ExitStatus::Unreadable,
        verdict => ExitStatus::of_answer(verdict == Verdict::Equal),
    })
}

/// Opens an image. What the user says of a raw one applies where nothing else tells: one
/// image may be raw, and the other have addresses of its own, or a manifest.
fn open(path: &Path, reading: &Reading, input: &Option<RawInput>) -> Result<Source, SourceError> {
    let spec = SourceSpec::Image(path.to_path_buf());
    let stated = Reading {
        raw: input.clone().filter(|_| !manifest_beside(path).exists()),
        ..reading.clone()
    };
    match Source::read(&spec, &stated) {
        Err(SourceError::Image {
            source: ImageSourceError::NotRaw(_),
            ..
        }) => Source::read(&spec, reading),
        opened => opened,
    }
}

/// Which of the images has a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holder {
    Left,
    Right,
    Both,
}

impl Holder {
    const fn lacking(self) -> Option<Finding> {
        match self {
            Self::Left => Some(Finding::OnlyLeft),
            Self::Right => Some(Finding::OnlyRight),
            Self::Both => None,
        }
    }
}

/// What the two images have, by address, within `windows` if there are any.
fn parts(left: &Source, right: &Source, windows: &[PhysRange]) -> Vec<(PhysRange, Holder)> {
    let [left, right] = [left, right].map(|source| {
        let ranges = source.map.regions().iter().map(|region| region.range);
        let all = Pages::touched_by(ranges);
        if windows.is_empty() {
            return all;
        }
        let windows = Pages::touched_by(windows.iter().copied());
        let clipped = windows
            .ranges()
            .iter()
            .flat_map(|&window| all.within(window));
        Pages::touched_by(clipped)
    });
    let mut parts = Vec::new();
    for &range in left.ranges() {
        parts.extend(right.within(range).map(|part| (part, Holder::Both)));
        let alone = right.outside(range).into_iter();
        parts.extend(alone.map(|part| (part, Holder::Left)));
    }
    for &range in right.ranges() {
        let alone = left.outside(range).into_iter();
        parts.extend(alone.map(|part| (part, Holder::Right)));
    }
    parts.sort_unstable_by_key(|&(range, _)| range);
    parts
}
