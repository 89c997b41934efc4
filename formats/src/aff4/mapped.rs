// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reading a map: bytes that lie in other streams.

use super::Error;
use super::map::{RECORD_BYTES, Record};
use super::stream::Stream;
use super::symbolic::Symbolic;
use super::zip::Member;
use crate::ReadAt;
use std::collections::BinaryHeap;
use std::io;
use std::sync::Arc;

/// Where bytes come from.
#[derive(Clone)]
pub(super) enum Source {
    /// A stream of chunks.
    Stream(Arc<Stream>),
    /// Another map.
    Map(Arc<Mapped>),
    /// A member of the archive, as it is.
    Member(Member),
    /// Nowhere: the offset decides.
    Symbolic(Symbolic),
    /// Something that is not there; its name.
    Missing(Arc<str>),
}

/// A map, ready to be read.
///
/// # Invariants
/// Pieces are sorted, disjoint, not empty, and end at or below `size`; their
/// target is one of `targets`.
pub(super) struct Mapped {
    size: u64,
    pieces: Vec<Piece>,
    targets: Vec<Source>,
    /// What is read where there is no piece.
    gap: Source,
}

/// A part of a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) target_offset: u64,
    pub(super) target: usize,
}

/// What is odd about a map.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Flags {
    pub(super) is_unsorted: bool,
    pub(super) overlaps: bool,
    pub(super) reaches_beyond: bool,
}

impl Source {
    pub(super) fn read(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        match self {
            Self::Stream(stream) => stream.read_exact_at(offset, buf),
            Self::Map(map) => map.read_exact_at(offset, buf),
            Self::Member(member) => member.read_exact_at(offset, buf),
            Self::Symbolic(symbolic) => {
                symbolic.fill(offset, buf);
                Ok(())
            }
            Self::Missing(urn) => Err(io::Error::new(
                io::ErrorKind::NotFound,
                format!("the stream {urn} is not in this volume"),
            )),
        }
    }
}

impl Mapped {
    /// `pieces` in any order; where two overlap, the later one counts. Without a
    /// `size` it ends with its last piece.
    pub(super) fn new(
        size: Option<u64>,
        pieces: &[Piece],
        targets: Vec<Source>,
        gap: Source,
    ) -> (Self, Flags) {
        let mut flags = Flags {
            is_unsorted: !pieces.is_sorted_by_key(|piece| piece.start),
            ..Flags::default()
        };
        let mut pieces = if is_disjoint(pieces) {
            pieces.to_vec()
        } else {
            let (resolved, overlaps) = resolve(pieces);
            flags.overlaps = overlaps;
            resolved
        };
        let end = pieces.last().map_or(0, |piece| piece.end);
        let size = size.unwrap_or(end);
        if end > size {
            flags.reaches_beyond = true;
            pieces.retain_mut(|piece| {
                piece.end = piece.end.min(size);
                piece.start < piece.end
            });
        }
        let map = Self {
            size,
            pieces,
            targets,
            gap,
        };
        (map, flags)
    }

    pub(super) fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    pub(super) fn targets(&self) -> &[Source] {
        &self.targets
    }

    pub(super) fn target(&self, piece: &Piece) -> Option<&Source> {
        self.targets.get(piece.target)
    }

    pub(super) fn gap(&self) -> &Source {
        &self.gap
    }
}

fn is_disjoint(pieces: &[Piece]) -> bool {
    pieces.iter().all(|piece| piece.start < piece.end)
        && pieces
            .windows(2)
            .all(|pair| matches!(pair, [a, b] if a.end <= b.start))
}

/// Sorted and disjoint pieces, later ones above earlier ones.
pub(super) fn resolved(pieces: &[Piece]) -> Vec<Piece> {
    resolve(pieces).0
}

/// Sorted and disjoint pieces, later ones above earlier ones, and whether any two
/// shared addresses.
fn resolve(pieces: &[Piece]) -> (Vec<Piece>, bool) {
    let mut borders: Vec<u64> = pieces
        .iter()
        .filter(|piece| piece.start < piece.end)
        .flat_map(|piece| [piece.start, piece.end])
        .collect();
    borders.sort_unstable();
    borders.dedup();
    let mut by_start: Vec<usize> = (0..pieces.len()).collect();
    by_start.sort_by_key(|&index| pieces.get(index).map(|piece| piece.start));
    let mut coming = by_start.into_iter().peekable();
    let mut active: BinaryHeap<usize> = BinaryHeap::new();
    let mut resolved: Vec<Piece> = Vec::with_capacity(pieces.len());
    let mut overlaps = false;
    let mut covered_to = 0;
    for pair in borders.windows(2) {
        let &[start, end] = pair else { continue };
        while let Some(piece) = coming
            .peek()
            .and_then(|&index| pieces.get(index))
            .filter(|piece| piece.start <= start)
        {
            let index = coming.next().unwrap_or(0);
            if piece.start < piece.end {
                overlaps |= piece.start < covered_to;
                covered_to = covered_to.max(piece.end);
                active.push(index);
            }
        }
        // The latest of those that have not ended.
        let top = loop {
            match active.peek().and_then(|&index| pieces.get(index)) {
                Some(piece) if piece.end <= start => {
                    active.pop();
                }
                other => break other,
            }
        };
        let Some(piece) = top else { continue };
        let target_offset = piece
            .target_offset
            .saturating_add(start.saturating_sub(piece.start));
        match resolved.last_mut() {
            Some(last)
                if last.end == start
                    && last.target == piece.target
                    && last
                        .target_offset
                        .checked_add(last.end.saturating_sub(last.start))
                        == Some(target_offset) =>
            {
                last.end = end;
            }
            _ => resolved.push(Piece {
                start,
                end,
                target_offset,
                target: piece.target,
            }),
        }
    }
    (resolved, overlaps)
}

/// The pieces that the member `map` lists, for `targets` targets.
pub(super) fn pieces(
    urn: &str,
    map: &[u8],
    targets: usize,
    decode: fn(&[u8]) -> Option<Record>,
) -> Result<Vec<Piece>, Error> {
    let records = map.chunks_exact(RECORD_BYTES);
    if !records.remainder().is_empty() {
        return Err(Error::object(urn, "its map ends within a record"));
    }
    let mut pieces = Vec::with_capacity(records.len());
    for (number, bytes) in records.enumerate() {
        let wrong = |what: &str| Error::object(urn, format!("record {number} of its map {what}"));
        let record = decode(bytes).ok_or_else(|| wrong("is no record"))?;
        let target = usize::try_from(record.target)
            .ok()
            .filter(|&target| target < targets)
            .ok_or_else(|| wrong("names a target that there is not"))?;
        let end = record.start.checked_add(record.len);
        let (Some(end), Some(_)) = (end, record.target_offset.checked_add(record.len)) else {
            return Err(wrong("passes 2^64 bytes"));
        };
        pieces.push(Piece {
            start: record.start,
            end,
            target_offset: record.target_offset,
            target,
        });
    }
    Ok(pieces)
}

impl ReadAt for Mapped {
    fn len(&self) -> u64 {
        self.size
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let len = u64::try_from(buf.len()).unwrap_or(u64::MAX);
        let end = offset.checked_add(len).filter(|end| *end <= self.size);
        let end = end.ok_or(io::ErrorKind::UnexpectedEof)?;
        let mut rest = buf;
        let mut next = offset;
        let first = self.pieces.partition_point(|piece| piece.end <= offset);
        for piece in self.pieces.get(first..).unwrap_or_default() {
            if piece.start >= end {
                break;
            }
            if piece.start > next {
                let target = take(&mut rest, piece.start.saturating_sub(next));
                self.gap.read(next, target)?;
                next = piece.start;
            }
            let until = piece.end.min(end);
            let target = take(&mut rest, until.saturating_sub(next));
            let within = next.saturating_sub(piece.start);
            let source = self.targets.get(piece.target).unwrap_or(&self.gap);
            source.read(piece.target_offset.saturating_add(within), target)?;
            next = until;
        }
        if rest.is_empty() {
            Ok(())
        } else {
            self.gap.read(next, rest)
        }
    }
}

/// Cuts the first `len` bytes off `rest`.
fn take<'a>(rest: &mut &'a mut [u8], len: u64) -> &'a mut [u8] {
    let whole = std::mem::take(rest);
    let len = usize::try_from(len).unwrap_or(usize::MAX);
    let (taken, tail) = whole.split_at_mut(len.min(whole.len()));
    *rest = tail;
    taken
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn piece(start: u64, end: u64, target: usize) -> Piece {
        Piece {
            start,
            end,
            target_offset: start,
            target,
        }
    }

    #[test]
    fn gaps_pieces_and_the_tail_are_read_from_where_they_lie() {
        let targets = (1..=3)
            .map(|byte| Source::Symbolic(Symbolic::Byte(byte)))
            .collect();
        let gap = Source::Symbolic(Symbolic::Byte(9));
        let (map, flags) = Mapped::new(
            Some(12),
            &[piece(6, 8, 1), piece(2, 4, 0), piece(10, 20, 2)],
            targets,
            gap,
        );
        assert_eq!(
            flags,
            Flags {
                is_unsorted: true,
                overlaps: false,
                reaches_beyond: true
            }
        );
        let mut buf = [0; 12];
        map.read_exact_at(0, &mut buf).unwrap();
        assert_eq!(buf, [9, 9, 1, 1, 9, 9, 2, 2, 9, 9, 3, 3]);
        assert!(map.read_exact_at(1, &mut buf).is_err());
        assert!(map.read_exact_at(u64::MAX, &mut buf).is_err());
    }

    proptest! {
        #[test]
        fn later_pieces_lie_above_earlier_ones(
            spans in vec((0_u64..40, 0_u64..10), 0..12),
        ) {
            let pieces: Vec<Piece> = spans
                .iter()
                .enumerate()
                .map(|(index, &(start, len))| piece(start, start + len, index))
                .collect();
            let targets = (0..pieces.len())
                .map(|index| Source::Symbolic(Symbolic::Byte(index as u8)))
                .collect();
            let gap = Source::Symbolic(Symbolic::Byte(99));
            let (map, flags) = Mapped::new(Some(50), &pieces, targets, gap);
            let mut expected = [99; 50];
            let mut twice = false;
            for piece in &pieces {
                for at in piece.start..piece.end {
                    twice |= expected[at as usize] != 99;
                    expected[at as usize] = piece.target as u8;
                }
            }
            let mut found = [0; 50];
            map.read_exact_at(0, &mut found).unwrap();
            prop_assert_eq!(found, expected);
            prop_assert_eq!(flags.overlaps, twice);
        }
    }
}
