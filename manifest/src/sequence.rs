// SPDX-License-Identifier: MIT OR Apache-2.0
//! The order of records, and what follows from it: where chunks are, and what the counts
//! must be. The writer and the reader both check every record here.

use crate::{LineProblem, RangeRecord, ReadSpan, Record, UnreadableRecord, ZeroChunks};
use linpmem_phys::num::usize_as_u64;
use linpmem_phys::{PAGE_SIZE, PhysAddr, PhysRange};

/// Which records were checked so far.
#[derive(Debug)]
pub(crate) struct Sequence {
    state: State,
    chunk_bytes: u64,
    /// Ranges that have begun.
    ranges: u64,
    /// Where the last range ended.
    end: PhysAddr,
    unreadable_pages: u64,
}

#[derive(Debug)]
enum State {
    /// Before the header.
    Start,
    /// Between ranges.
    Ranges,
    /// In a range.
    Range(OpenRange),
    /// After the artifacts that were collected when memory had been read.
    Artifacts,
    /// After the line that says that the image is written.
    Written,
    /// In the second pass.
    SecondPass {
        /// The address after its last range.
        ranges_end: PhysAddr,
        /// The address after the last pages that changed.
        changed_end: PhysAddr,
    },
    /// After the second pass.
    AfterSecondPass,
    /// After the objects of a store that have the image.
    Objects,
    /// After the footer.
    End,
}

/// A range that has not ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OpenRange {
    /// Counts from 0.
    pub(crate) index: u64,
    /// Its addresses.
    addresses: PhysRange,
    /// Where its next chunk begins.
    next: PhysAddr,
    /// Chunks so far.
    chunks: u64,
    /// The chunks on the latest line.
    pub(crate) latest: Option<Latest>,
    /// The address after the last unreadable page.
    unreadable_end: PhysAddr,
    unreadable_pages: u64,
    read: Option<ReadSpan>,
}

/// The chunks on a line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Latest {
    /// The first one's number in its range.
    pub(crate) number: u64,
    /// Their addresses.
    pub(crate) addresses: PhysRange,
}

impl Default for Sequence {
    fn default() -> Self {
        Self {
            state: State::Start,
            chunk_bytes: 0,
            ranges: 0,
            end: PhysAddr::ZERO,
            unreadable_pages: 0,
        }
    }
}

impl Sequence {
    /// The range that is open.
    pub(crate) const fn range(&self) -> Option<&OpenRange> {
        match &self.state {
            State::Range(range) => Some(range),
            _ => None,
        }
    }

    /// Chunks end at multiples of this many bytes.
    pub(crate) const fn chunk_bytes(&self) -> u64 {
        self.chunk_bytes
    }

    /// Whether the footer was reached.
    pub(crate) const fn is_over(&self) -> bool {
        matches!(self.state, State::End)
    }

    /// Checks the next record.
    ///
    /// # Errors
    /// If it cannot follow those before it.
    pub(crate) fn pass(&mut self, record: &Record) -> Result<(), LineProblem> {
        match (&mut self.state, record) {
            (State::Start, Record::Header(header)) => {
                let chunk_bytes = header.image.chunk_bytes;
                if chunk_bytes == 0 || chunk_bytes % PAGE_SIZE.get() != 0 {
                    return Err(LineProblem::ChunkBytes(chunk_bytes));
                }
                self.chunk_bytes = header.image.chunk_bytes;
                self.state = State::Ranges;
            }
            (State::Ranges, Record::Range(range)) => self.begin(range)?,
            (State::Ranges, Record::Artifacts(_)) => self.state = State::Artifacts,
            (State::Ranges | State::Artifacts, Record::Written(written)) => {
                let expected = self.unreadable_pages;
                equal("unreadable_pages", written.unreadable_pages, expected)?;
                self.state = State::Written;
            }
            (State::Ranges | State::Artifacts | State::Written, Record::SecondPass(_)) => {
                self.state = State::SecondPass {
                    ranges_end: PhysAddr::ZERO,
                    changed_end: PhysAddr::ZERO,
                };
            }
            (State::Range(range), Record::Chunk(chunk)) => {
                range.advance(1, self.chunk_bytes)?;
                range.was_read(chunk.read);
            }
            (State::Range(range), Record::ZeroChunks(chunks)) => {
                if chunks.count > ZeroChunks::MAX_COUNT || !chunks.frames_fit() {
                    return Err(LineProblem::TooManyChunks { range: range.index });
                }
                range.advance(chunks.count, self.chunk_bytes)?;
                range.was_read(chunks.read_us);
            }
            (State::Range(range), Record::Unreadable(unreadable)) => {
                range.unreadable(unreadable)?;
            }
            (State::Range(range), Record::RangeEnd(end)) => {
                equal("written_bytes", end.written_bytes, range.written_bytes())?;
                let pages = range.unreadable_pages;
                equal("unreadable_pages", end.unreadable_pages, pages)?;
                self.end = range.addresses.end();
                self.unreadable_pages = sum(self.unreadable_pages, pages)?;
                self.state = State::Ranges;
            }
            (State::SecondPass { changed_end, .. }, Record::Changed(changed)) => {
                let addresses = changed.addresses();
                let (start, last) = (changed.start.0, changed.last.0);
                *changed_end = above(*changed_end, addresses, start, last)?.end();
            }
            (State::SecondPass { ranges_end, .. }, Record::SecondPassRange(range)) => {
                let (start, last) = (range.start.0, range.last.0);
                *ranges_end = above(*ranges_end, range.addresses(), start, last)?.end();
            }
            (State::SecondPass { .. }, Record::SecondPassEnd(_)) => {
                self.state = State::AfterSecondPass;
            }
            (
                State::Ranges | State::Artifacts | State::Written | State::Objects,
                Record::Object(object),
            ) => {
                if !object.is_consistent() {
                    return Err(LineProblem::Parts {
                        length: object.length,
                        sums: usize_as_u64(object.sha256.len()),
                    });
                }
                self.state = State::Objects;
            }
            (
                State::Ranges
                | State::Artifacts
                | State::Written
                | State::AfterSecondPass
                | State::Objects,
                Record::Footer(footer),
            ) => {
                let expected = self.unreadable_pages;
                equal("unreadable_pages", footer.unreadable_pages, expected)?;
                self.state = State::End;
            }
            (state, record) => {
                return Err(LineProblem::Unexpected {
                    found: record.name(),
                    reason: state.expectation(),
                });
            }
        }
        Ok(())
    }

    fn begin(&mut self, range: &RangeRecord) -> Result<(), LineProblem> {
        if range.index != self.ranges {
            return Err(LineProblem::RangeIndex {
                found: range.index,
                expected: self.ranges,
            });
        }
        let (start, last) = (range.start.0, range.last.0);
        let addresses = above(self.end, range.addresses(), start, last)?;
        self.ranges = sum(self.ranges, 1)?;
        self.state = State::Range(OpenRange {
            index: range.index,
            addresses,
            next: addresses.start(),
            chunks: 0,
            latest: None,
            unreadable_end: addresses.start(),
            unreadable_pages: 0,
            read: None,
        });
        Ok(())
    }
}

impl State {
    const fn expectation(&self) -> &'static str {
        match self {
            Self::Start => "the first line is the header",
            Self::Ranges => "a range, a second pass or the footer comes next",
            Self::Range(_) => "chunks come next, or the range's end",
            Self::Artifacts => "the end of the image, a second pass or the footer comes next",
            Self::Written => "a second pass or the footer comes next",
            Self::SecondPass { .. } => "changed pages come next, or the second pass's end",
            Self::AfterSecondPass => "the footer comes next",
            Self::Objects => "an object or the footer comes next",
            Self::End => "the footer is the last line",
        }
    }
}

impl OpenRange {
    /// Bytes of its chunks.
    pub(crate) fn written_bytes(&self) -> u64 {
        self.next.get() - self.addresses.start().get()
    }

    /// Its pages that could not be read.
    pub(crate) const fn unreadable_pages(&self) -> u64 {
        self.unreadable_pages
    }

    /// When it was read.
    pub(crate) const fn read(&self) -> Option<ReadSpan> {
        self.read
    }

    /// The next `count` chunks.
    fn advance(&mut self, count: u64, chunk_bytes: u64) -> Result<(), LineProblem> {
        let start = self.next;
        let none = || LineProblem::TooManyChunks { range: self.index };
        let before_last = match count.checked_sub(1).ok_or_else(none)? {
            0 => start,
            whole => border(start, whole, chunk_bytes).ok_or_else(none)?,
        };
        if before_last >= self.addresses.end() {
            return Err(none());
        }
        let end = border(before_last, 1, chunk_bytes);
        let end = end.map_or(self.addresses.end(), |end| end.min(self.addresses.end()));
        let addresses = PhysRange::new(start, end).map_err(|_| none())?;
        self.latest = Some(Latest {
            number: self.chunks,
            addresses,
        });
        self.chunks = sum(self.chunks, count)?;
        self.next = end;
        Ok(())
    }

    fn was_read(&mut self, read: ReadSpan) {
        self.read = Some(self.read.map_or(read, |before| before.until(read)));
    }

    fn unreadable(&mut self, unreadable: &UnreadableRecord) -> Result<(), LineProblem> {
        let (start, last) = (unreadable.start.0, unreadable.last.0);
        let addresses = above(self.unreadable_end, unreadable.addresses(), start, last)?;
        if !self
            .latest
            .is_some_and(|latest| latest.addresses.covers(addresses))
        {
            return Err(LineProblem::OutsideChunks { found: addresses });
        }
        let pages = addresses.len().pages();
        equal("pages", unreadable.pages, pages)?;
        self.unreadable_end = addresses.end();
        self.unreadable_pages = sum(self.unreadable_pages, pages)?;
        Ok(())
    }
}

/// The `number`th multiple of `step` above `start`; `None` if no address is that high.
pub(crate) fn border(start: PhysAddr, number: u64, step: u64) -> Option<PhysAddr> {
    let floor = start.get().checked_div(step)?.checked_mul(step)?;
    let end = floor.checked_add(number.checked_mul(step)?)?;
    Some(PhysAddr::new(end))
}

/// `addresses`, if there are any and they are not below `end`.
fn above(
    end: PhysAddr,
    addresses: Option<PhysRange>,
    start: u64,
    last: u64,
) -> Result<PhysRange, LineProblem> {
    addresses
        .filter(|addresses| addresses.start() >= end)
        .ok_or(LineProblem::Addresses { start, last })
}

const fn equal(what: &'static str, found: u64, expected: u64) -> Result<(), LineProblem> {
    if found == expected {
        return Ok(());
    }
    Err(LineProblem::Count {
        what,
        found,
        expected,
    })
}

fn sum(left: u64, right: u64) -> Result<u64, LineProblem> {
    left.checked_add(right).ok_or(LineProblem::TooMany {
        what: "ranges, chunks or pages",
        limit: usize::MAX,
    })
}
