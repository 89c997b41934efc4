// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a manifest says of a second reading.

use crate::Address;
use crate::Stamp;
use crate::Tally;
use crate::writer::separate;
use linpmem_phys::PhysRange;
use serde::{Deserialize, Serialize};
use std::io::{self, Write};

/// How much of the memory changed from the first reading to the second.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecondPassRecord {
    /// When it began.
    pub started: Stamp,
    /// The ranges that were read again, by address.
    pub ranges: Vec<SecondPassRange>,
    /// Over all ranges.
    pub totals: SecondPassTotals,
}

/// The sums over all ranges, and how it ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecondPassTotals {
    /// Pages that were read again.
    pub pages: u64,
    /// Pages that are not what they were.
    pub changed_pages: u64,
    /// Bytes that are not what they were.
    pub changed_bytes: u64,
    /// Pages that could not be read, the first or the second time.
    pub unreadable_pages: u64,
    /// Why it broke off; `ranges` end where it did.
    pub error: Option<String>,
    /// When it ended.
    pub ended: Stamp,
}

/// What changed in one range.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecondPassRange {
    /// The stretches that changed.
    pub changed: Vec<ChangedRecord>,
    /// First address.
    pub start: Address,
    /// Last address, included.
    pub last: Address,
    /// Pages that were read again.
    pub pages: u64,
    /// Pages that are not what they were.
    pub changed_pages: u64,
    /// Bytes that are not what they were.
    pub changed_bytes: u64,
    /// Pages that could not be read, the first or the second time.
    pub unreadable_pages: u64,
}

/// Pages side by side that are not what they were.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangedRecord {
    /// First address.
    pub start: Address,
    /// Last address, included.
    pub last: Address,
    /// Pages.
    pub pages: u64,
    /// Bytes that changed in them.
    pub changed_bytes: u64,
}

/// Writes a [`SecondPassRecord`]: [`changed`](Self::changed) as often as needed and
/// [`range`](Self::range), for each range, even if it was only begun; then [`finish`](Self::finish).
#[derive(Debug)]
pub struct SecondPassWriter<'a, W> {
    out: &'a mut W,
    ranges: u64,
    /// Stretches of the range that is being written; none if it is not begun.
    stretches: Option<u64>,
}

impl<'a, W: Write> SecondPassWriter<'a, W> {
    pub(super) fn new(out: &'a mut W, started: &Stamp) -> io::Result<Self> {
        out.write_all(b",\n\"second_pass\": {\"started\": ")?;
        serde_json::to_writer(&mut *out, started)?;
        out.write_all(b", \"ranges\": [")?;
        Ok(Self {
            out,
            ranges: 0,
            stretches: None,
        })
    }

    /// These pages are not what they were.
    ///
    /// # Errors
    /// Those of the output.
    pub fn changed(&mut self, range: PhysRange, bytes: u64) -> io::Result<()> {
        let mut stretches = self.begin_range()?;
        separate(self.out, &mut stretches)?;
        self.stretches = Some(stretches);
        let record = ChangedRecord {
            start: range.start().into(),
            last: range.last().into(),
            pages: range.len().pages(),
            changed_bytes: bytes,
        };
        Ok(serde_json::to_writer(&mut *self.out, &record)?)
    }

    /// All of `range` has been read again.
    ///
    /// # Errors
    /// Those of the output.
    pub fn range(&mut self, range: PhysRange, tally: Tally) -> io::Result<()> {
        self.begin_range()?;
        self.stretches = None;
        let [start, last] = [range.start(), range.last()].map(Address::from);
        write!(
            self.out,
            "], \"start\": \"{:#x}\", \"last\": \"{:#x}\", \"pages\": {}, \"changed_pages\": {}, \
             \"changed_bytes\": {}, \"unreadable_pages\": {}}}",
            start.0,
            last.0,
            tally.pages,
            tally.different_pages,
            tally.different_bytes,
            tally.unreadable_pages
        )
    }

    /// Ends the record, which broke off because of `error`, if there is one.
    ///
    /// # Errors
    /// Those of the output.
    pub fn finish(
        self,
        total: Tally,
        error: Option<String>,
        ended: Stamp,
    ) -> io::Result<SecondPassTotals> {
        self.out.write_all(b"\n], \"totals\": ")?;
        let totals = SecondPassTotals {
            pages: total.pages,
            changed_pages: total.different_pages,
            changed_bytes: total.different_bytes,
            unreadable_pages: total.unreadable_pages,
            error,
            ended,
        };
        serde_json::to_writer(&mut *self.out, &totals)?;
        self.out.write_all(b"}")?;
        Ok(totals)
    }

    fn begin_range(&mut self) -> io::Result<u64> {
        if let Some(stretches) = self.stretches {
            return Ok(stretches);
        }
        separate(self.out, &mut self.ranges)?;
        self.out.write_all(b"{\"changed\": [")?;
        self.stretches = Some(0);
        Ok(0)
    }
}
