// SPDX-License-Identifier: MIT OR Apache-2.0
//! Comparing two sources of memory, page by page.

use crate::buffer::{CHUNK_BYTES, Pool, Pooled};
use crate::reader::ReadPages;
use crossbeam_channel::{Receiver, Sender, bounded};
use linpmem_manifest::Tally;
use linpmem_phys::num::{u64_as_usize, usize_as_u64};
use linpmem_phys::{
    PAGE_SIZE, PageBuffer, PhysLen, PhysRange, SourceError, Unreadable, Unreadables,
};
use std::io;
use std::thread::Builder;

/// Buffers on each side: one is filled while one is compared.
const BUFFERS: usize = 2;

/// How an extent of pages differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Both were read, and they differ.
    Different,
    /// The left one could not be read.
    UnreadableLeft,
    /// The right one could not be read.
    UnreadableRight,
    /// Neither could be read.
    UnreadableBoth,
    /// Only the left one has them.
    OnlyLeft,
    /// Only the right one has them.
    OnlyRight,
}

/// Neighbouring pages that differ in the same way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Whole pages.
    pub range: PhysRange,
    /// How they differ.
    pub finding: Finding,
    /// Bytes that differ.
    pub bytes: u64,
}

/// What a comparison reports while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// These pages differ.
    Stretch(Difference),
    /// A range has been compared, or a part of it if the comparison ended early.
    Range(PhysRange, Tally),
}

/// A comparison that ended early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompareError {
    /// One side failed as a whole.
    #[error(transparent)]
    Read(#[from] SourceError),
    /// A difference could not be reported.
    #[error("reporting the differences: {0}")]
    Report(#[from] io::Error),
    /// No thread could be started.
    #[error("starting a thread: {0}")]
    Thread(#[source] io::Error),
    /// A side ended without a reason. This is a bug.
    #[error("a reading thread ended early; this is a bug in linpmem-dump")]
    Panicked,
}

fn count(tally: &mut Tally, difference: &Difference) {
    let pages = difference.range.len().pages();
    match difference.finding {
        Finding::Different => {
            tally.different_pages += pages;
            tally.different_bytes += difference.bytes;
        }
        _ => tally.unreadable_pages += pages,
    }
}

/// Compares the whole pages of `ranges` in both of `sides`, which are read at the
/// same time. Calls `tell` with each extent that differs, and with each range once it
/// has been compared.
///
/// # Errors
/// If a side fails as a whole, or `tell` does.
pub fn compare_pages(
    sides: [&dyn ReadPages; 2],
    ranges: &[PhysRange],
    tell: &mut dyn FnMut(Event) -> io::Result<()>,
) -> Result<(), CompareError> {
    std::thread::scope(|scope| {
        let [left, right] = sides.map(|side| {
            let (parts, read) = bounded(1);
            Builder::new()
                .name("read".to_owned())
                .spawn_scoped(scope, move || read_side(side, ranges, &parts))
                .map(|_| read)
        });
        let (left, right) = (
            left.map_err(CompareError::Thread)?,
            right.map_err(CompareError::Thread)?,
        );
        for &range in ranges {
            let mut tally = Tally::default();
            let mut open: Option<Difference> = None;
            let mut broken = None;
            for piece in range.pieces(step()) {
                let (left, right) = match next(&left).and_then(|left| Ok((left, next(&right)?))) {
                    Ok(both) => both,
                    Err(error) => {
                        broken = Some((piece.start(), error));
                        break;
                    }
                };
                tally.pages += left.range.len().pages();
                for difference in differences(&left, &right) {
                    count(&mut tally, &difference);
                    match open.and_then(|open| open.join(&difference)) {
                        Some(joined) => open = Some(joined),
                        None => tell_of(open.replace(difference), tell)?,
                    }
                }
            }
            tell_of(open, tell)?;
            let end = broken.as_ref().map_or(range.end(), |(at, _)| *at);
            if let (Some(compared), _) = range.split_at(end) {
                tell(Event::Range(compared, tally))?;
            }
            if let Some((_, error)) = broken {
                return Err(error);
            }
        }
        Ok(())
    })
}

fn tell_of(
    stretch: Option<Difference>,
    tell: &mut dyn FnMut(Event) -> io::Result<()>,
) -> io::Result<()> {
    stretch.map_or(Ok(()), |stretch| tell(Event::Stretch(stretch)))
}

/// A piece of one side.
struct Piece {
    range: PhysRange,
    buffer: Pooled<PageBuffer>,
    unreadable: Unreadables,
}

type Pieces = Receiver<Result<Piece, SourceError>>;

fn step() -> PhysLen {
    PhysLen::new(usize_as_u64(CHUNK_BYTES))
}

fn read_side(
    side: &dyn ReadPages,
    ranges: &[PhysRange],
    parts: &Sender<Result<Piece, SourceError>>,
) {
    let pool = Pool::new(BUFFERS, || PageBuffer::new(CHUNK_BYTES));
    for range in ranges.iter().flat_map(|range| range.pieces(step())) {
        let Some(mut buffer) = pool.take() else {
            return;
        };
        buffer.set_len(u64_as_usize(range.len().get()));
        let mut unreadable = Unreadables::new();
        let read = side.read_pages(range.start(), &mut buffer, &mut unreadable);
        let failed = read.is_err();
        let piece = read.map(|()| Piece {
            range,
            buffer,
            unreadable,
        });
        if parts.send(piece).is_err() || failed {
            return;
        }
    }
}

fn next(pieces: &Pieces) -> Result<Piece, CompareError> {
    Ok(pieces.recv().map_err(|_| CompareError::Panicked)??)
}

/// How the pages of a piece differ, page by page.
fn differences<'a>(left: &'a Piece, right: &'a Piece) -> impl Iterator<Item = Difference> + 'a {
    let page = u64_as_usize(PAGE_SIZE.get());
    let [mut left_bad, mut right_bad] = [left, right].map(|piece| Marks::new(&piece.unreadable));
    let bytes = left.buffer.chunks(page).zip(right.buffer.chunks(page));
    left.range
        .pieces(PAGE_SIZE)
        .zip(bytes)
        .filter_map(move |(range, (left, right))| {
            let finding = match (left_bad.touch(range), right_bad.touch(range)) {
                (true, true) => Finding::UnreadableBoth,
                (true, false) => Finding::UnreadableLeft,
                (false, true) => Finding::UnreadableRight,
                (false, false) if left == right => return None,
                (false, false) => Finding::Different,
            };
            let bytes = match finding {
                Finding::Different => left.iter().zip(right).filter(|(l, r)| l != r).count(),
                _ => 0,
            };
            Some(Difference {
                range,
                finding,
                bytes: usize_as_u64(bytes),
            })
        })
}

/// A list of unreadable ranges, walked in the order of the pages.
struct Marks<'a>(&'a [Unreadable]);

impl<'a> Marks<'a> {
    fn new(unreadable: &'a Unreadables) -> Self {
        Self(unreadable.as_slice())
    }

    fn touch(&mut self, page: PhysRange) -> bool {
        while let Some((first, rest)) = self.0.split_first() {
            if first.range.end() > page.start() {
                return first.range.start() < page.end();
            }
            self.0 = rest;
        }
        false
    }
}

impl Difference {
    /// Both as one, if `next` begins where this one ends.
    fn join(&self, next: &Self) -> Option<Self> {
        if self.finding != next.finding || self.range.end() != next.range.start() {
            return None;
        }
        Some(Self {
            range: PhysRange::new(self.range.start(), next.range.end()).ok()?,
            finding: self.finding,
            bytes: self.bytes + next.bytes,
        })
    }
}
