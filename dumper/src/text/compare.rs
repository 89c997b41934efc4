// SPDX-License-Identifier: MIT OR Apache-2.0
//! `linpmem-dump compare`: what a comparison finds, line by line as it finds it.

use super::figures::{count, share};
use linpmem_capture::compare::Finding;
use linpmem_cli::{Door, Event, Tag, printable};
use linpmem_manifest::{Address, Tally};
use linpmem_phys::{PhysLen, PhysRange};
use serde::Serialize;
use std::io::{self, Write};

/// Extents that the text lists one by one; the others it only counts.
const SHOWN: u64 = 50;

/// Prints what is found: JSON Lines, or text.
pub struct Report<'a> {
    out: &'a mut dyn Write,
    is_json: bool,
    /// Whether the text lists every extent.
    lists_all: bool,
    extents: u64,
    summary: Summary,
}

/// What a comparison found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Both have the same memory.
    Equal,
    /// What both have is the same, but one of them lacks memory that the other has.
    Lacking,
    /// Bytes differ.
    Different,
}

/// The two images.
#[derive(Debug, Serialize)]
pub struct Images {
    #[serde(flatten)]
    tag: Tag,
    left: String,
    right: String,
}

/// Neighbouring pages that are not equal.
#[derive(Debug, Serialize)]
struct Extent {
    start: Address,
    last: Address,
    pages: u64,
    finding: &'static str,
    different_bytes: Option<u64>,
    #[serde(skip)]
    range: PhysRange,
    #[serde(skip)]
    words: &'static str,
}

/// A range that both images have.
#[derive(Debug, Serialize)]
struct Range {
    start: Address,
    last: Address,
    pages: u64,
    different_pages: u64,
    different_bytes: u64,
    unreadable_pages: u64,
    #[serde(skip)]
    range: PhysRange,
}

/// The whole comparison.
#[derive(Clone, Copy, Debug, Serialize)]
struct Summary {
    equal: bool,
    pages: u64,
    different_pages: u64,
    different_bytes: u64,
    unreadable_pages: u64,
    only_left_bytes: u64,
    only_right_bytes: u64,
}

impl<'a> Report<'a> {
    /// Begins a report on `out` with the names of the two images. Text lists every
    /// extent only if `lists_all`.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn begin(
        [left, right]: [String; 2],
        is_json: bool,
        lists_all: bool,
        out: &'a mut dyn Write,
    ) -> io::Result<Self> {
        let mut report = Self {
            out,
            is_json,
            lists_all,
            extents: 0,
            summary: Summary {
                equal: true,
                pages: 0,
                different_pages: 0,
                different_bytes: 0,
                unreadable_pages: 0,
                only_left_bytes: 0,
                only_right_bytes: 0,
            },
        };
        let tag = Tag::of("linpmem-dump compare");
        report.print("begin", &Images { tag, left, right })?;
        Ok(report)
    }

    /// Pages of `range` are not equal; `bytes` of them differ, if both were read.
    ///
    /// # Errors
    /// Those of the output.
    pub fn extent(&mut self, range: PhysRange, finding: Finding, bytes: u64) -> io::Result<()> {
        match finding {
            Finding::OnlyLeft => self.summary.only_left_bytes += range.len().get(),
            Finding::OnlyRight => self.summary.only_right_bytes += range.len().get(),
            _ => {}
        }
        // Pages that neither image could read say nothing about a difference.
        self.summary.equal &= finding == Finding::UnreadableBoth;
        self.extents += 1;
        if !self.is_json && !self.lists_all && self.extents > SHOWN {
            return Ok(());
        }
        let extent = Extent {
            start: range.start().into(),
            last: range.last().into(),
            pages: range.len().pages(),
            finding: name(finding),
            different_bytes: (finding == Finding::Different).then_some(bytes),
            range,
            words: words(finding),
        };
        self.print("extent", &extent)
    }

    /// `range`, which both images have, has been compared.
    ///
    /// # Errors
    /// Those of the output.
    pub fn range(&mut self, range: PhysRange, tally: Tally) -> io::Result<()> {
        self.summary.pages += tally.pages;
        self.summary.different_pages += tally.different_pages;
        self.summary.different_bytes += tally.different_bytes;
        self.summary.unreadable_pages += tally.unreadable_pages;
        let line = Range {
            start: range.start().into(),
            last: range.last().into(),
            pages: tally.pages,
            different_pages: tally.different_pages,
            different_bytes: tally.different_bytes,
            unreadable_pages: tally.unreadable_pages,
            range,
        };
        self.print("range", &line)
    }

    /// Ends the report; returns what it says of the images.
    ///
    /// # Errors
    /// Those of the output.
    pub fn end(mut self) -> io::Result<Verdict> {
        if !self.is_json && !self.lists_all && self.extents > SHOWN {
            let more = self.extents - SHOWN;
            writeln!(self.out, "{more} more extents: --all lists them")?;
        }
        let summary = self.summary;
        self.print("summary", &summary)?;
        Ok(match summary {
            Summary { equal: true, .. } => Verdict::Equal,
            Summary {
                different_pages: 0, ..
            } => Verdict::Lacking,
            _ => Verdict::Different,
        })
    }

    fn print<L: Line>(&mut self, event: &'static str, line: &L) -> io::Result<()> {
        if !self.is_json {
            return line.write_text(&mut Door::for_words(&mut *self.out));
        }
        let mut out = Door::for_json(&mut *self.out);
        serde_json::to_writer(&mut out, &Event { event, body: line })?;
        out.write_all(b"\n")
    }
}

/// A line of the report, with its two renderings.
trait Line: Serialize {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()>;
}

impl Line for Images {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let [left, right] = [&self.left, &self.right].map(|name| printable(name));
        writeln!(out, "left:  {left}\nright: {right}")
    }
}

impl Line for Extent {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        write!(out, "  {}  {}, ", self.range, pages(self.pages))?;
        match self.different_bytes {
            Some(1) => writeln!(out, "1 byte differs"),
            Some(bytes) => writeln!(out, "{bytes} bytes differ"),
            None => writeln!(out, "{}", self.words),
        }
    }
}

impl Line for Range {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let (different, unreadable) = (self.different_pages, self.unreadable_pages);
        let verdict = if different == 0 && unreadable == 0 {
            "equal".to_owned()
        } else {
            let equal = self.pages - different - unreadable;
            format!("{different} differ, {unreadable} unreadable, {equal} equal")
        };
        writeln!(out, "{}  {}: {verdict}", self.range, pages(self.pages))
    }
}

impl Line for Summary {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.equal {
            write!(out, "equal: {}", pages(self.pages))?;
            return match self.unreadable_pages {
                0 => writeln!(out),
                count => writeln!(out, ", {count} of them unreadable in both"),
            };
        }
        write!(
            out,
            "different: {} of {} ({}), {}",
            self.different_pages,
            pages(self.pages),
            share(self.different_pages, self.pages),
            count(self.different_bytes, "byte"),
        )?;
        if self.unreadable_pages > 0 {
            write!(out, "; unreadable: {}", self.unreadable_pages)?;
        }
        for (bytes, side) in [
            (self.only_left_bytes, "left"),
            (self.only_right_bytes, "right"),
        ] {
            if bytes > 0 {
                write!(out, "; in the {side} image only: {}", PhysLen::new(bytes))?;
            }
        }
        writeln!(out)
    }
}

fn pages(number: u64) -> String {
    count(number, "page")
}

const fn name(finding: Finding) -> &'static str {
    match finding {
        Finding::Different => "different",
        Finding::UnreadableLeft => "unreadable-left",
        Finding::UnreadableRight => "unreadable-right",
        Finding::UnreadableBoth => "unreadable-both",
        Finding::OnlyLeft => "only-left",
        Finding::OnlyRight => "only-right",
    }
}

const fn words(finding: Finding) -> &'static str {
    match finding {
        Finding::Different => "different",
        Finding::UnreadableLeft => "unreadable in the left image",
        Finding::UnreadableRight => "unreadable in the right image",
        Finding::UnreadableBoth => "unreadable in both images",
        Finding::OnlyLeft => "in the left image only",
        Finding::OnlyRight => "in the right image only",
    }
}
