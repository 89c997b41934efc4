// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a comparison found, as it finds it: a table for people, lines of JSON for
//! programs.

use super::figures::{count, share};
use crate::args::CompareArgs;
use linpmem_capture::compare::{Difference, Finding};
use linpmem_manifest::{Address, Tally};
use linpmem_phys::{PhysLen, PhysRange};
use serde::Serialize;
use std::io::{self, Write};

/// Stretches that the table names one by one; of the others only the number is told.
const SHOWN: u64 = 50;

/// Writes what is found.
pub struct Report<'a> {
    args: &'a CompareArgs,
    out: &'a mut dyn Write,
    total: Tally,
    /// Stretches that only one image has.
    lacking: PhysLen,
    /// Stretches that were named or counted, those of `lacking` included.
    stretches: u64,
    /// Whether one of them sets the images apart.
    differs: bool,
}

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
enum Line {
    Stretch {
        start: Address,
        last: Address,
        pages: u64,
        finding: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        different_bytes: Option<u64>,
    },
    Range {
        start: Address,
        last: Address,
        pages: u64,
        different_pages: u64,
        different_bytes: u64,
        unreadable_pages: u64,
    },
    Summary {
        equal: bool,
        pages: u64,
        different_pages: u64,
        different_bytes: u64,
        unreadable_pages: u64,
        bytes_in_one_only: u64,
    },
}

impl<'a> Report<'a> {
    /// A report on `args`, written to `out`.
    pub fn new(args: &'a CompareArgs, out: &'a mut dyn Write) -> Self {
        Self {
            args,
            out,
            total: Tally::default(),
            lacking: PhysLen::ZERO,
            stretches: 0,
            differs: false,
        }
    }

    /// Names the two images.
    pub fn begin(&mut self) -> io::Result<()> {
        if self.args.json {
            return Ok(());
        }
        writeln!(self.out, "left:  {}", self.args.left.display())?;
        writeln!(self.out, "right: {}", self.args.right.display())
    }

    /// `range` is in one of the images only.
    pub fn lacking(&mut self, range: PhysRange, finding: Finding) -> io::Result<()> {
        let sum = self.lacking.get().saturating_add(range.len().get());
        self.lacking = PhysLen::new(sum);
        self.stretch(&Difference {
            range,
            finding,
            bytes: 0,
        })
    }

    /// Something is the matter with some pages.
    pub fn stretch(&mut self, difference: &Difference) -> io::Result<()> {
        self.stretches = self.stretches.saturating_add(1);
        let Difference {
            range,
            finding,
            bytes,
        } = *difference;
        let is_different = finding == Finding::Different;
        // What neither could read, neither can say anything of.
        self.differs |= finding != Finding::UnreadableBoth;
        if self.args.json {
            return self.line(&Line::Stretch {
                start: range.start().into(),
                last: range.last().into(),
                pages: range.len().pages(),
                finding: name(finding),
                different_bytes: is_different.then_some(bytes),
            });
        }
        if !self.args.all && self.stretches > SHOWN {
            return Ok(());
        }
        write!(self.out, "  {range}  {}, ", pages(range.len().pages()))?;
        if is_different {
            writeln!(self.out, "{bytes} bytes differ")
        } else {
            writeln!(self.out, "{}", words(finding))
        }
    }

    /// `range`, which both images have, has been compared.
    pub fn range(&mut self, range: PhysRange, tally: Tally) -> io::Result<()> {
        self.total.add(tally);
        if self.args.json {
            return self.line(&Line::Range {
                start: range.start().into(),
                last: range.last().into(),
                pages: tally.pages,
                different_pages: tally.different_pages,
                different_bytes: tally.different_bytes,
                unreadable_pages: tally.unreadable_pages,
            });
        }
        let Tally {
            pages: all,
            different_pages: different,
            unreadable_pages: unreadable,
            ..
        } = tally;
        let verdict = if different == 0 && unreadable == 0 {
            "equal".to_owned()
        } else {
            let equal = all.saturating_sub(different).saturating_sub(unreadable);
            format!("{different} differ, {unreadable} unreadable, {equal} equal")
        };
        writeln!(self.out, "{range}  {}: {verdict}", pages(all))
    }

    /// Says what came of it all, and whether the images are equal.
    pub fn end(mut self) -> io::Result<bool> {
        let total = self.total;
        let equal = !self.differs;
        if self.args.json {
            self.line(&Line::Summary {
                equal,
                pages: total.pages,
                different_pages: total.different_pages,
                different_bytes: total.different_bytes,
                unreadable_pages: total.unreadable_pages,
                bytes_in_one_only: self.lacking.get(),
            })?;
            return Ok(equal);
        }
        if !self.args.all && self.stretches > SHOWN {
            let more = self.stretches - SHOWN;
            writeln!(self.out, "{more} more stretches: --all names them")?;
        }
        if equal {
            write!(self.out, "equal: {}", pages(total.pages))?;
            match total.unreadable_pages {
                0 => writeln!(self.out)?,
                count => writeln!(self.out, ", {count} of them unreadable in both")?,
            }
            return Ok(true);
        }
        let share = share(total.different_pages, total.pages);
        write!(
            self.out,
            "different: {} of {} ({share}), {} bytes",
            total.different_pages,
            pages(total.pages),
            total.different_bytes,
        )?;
        if total.unreadable_pages > 0 {
            write!(self.out, "; unreadable: {}", total.unreadable_pages)?;
        }
        if self.lacking > PhysLen::ZERO {
            write!(self.out, "; in one image only: {}", self.lacking)?;
        }
        writeln!(self.out)?;
        Ok(false)
    }

    fn line(&mut self, line: &Line) -> io::Result<()> {
        serde_json::to_writer(&mut *self.out, line)?;
        self.out.write_all(b"\n")
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
