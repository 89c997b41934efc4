// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reading a map, whose bytes are in other streams.

use super::Error;
use super::map::{RECORD_BYTES, Record};
use super::stream::Stream;
use super::symbolic::Symbolic;
use super::zip::Member;
use crate::ReadAt;
use crate::read_span::split_off_front;
use linpmem_phys::PhysLen;
use linpmem_phys::num::{u32_as_usize, usize_as_u64};
use std::collections::BinaryHeap;
use std::io;
use std::sync::Arc;

/// Where bytes are read from.
#[derive(Clone)]
pub(super) enum Source {
    /// A stream of chunks.
    Stream(Arc<Stream>),
    /// Another map.
    Map(Arc<Mapped>),
    /// A member of the archive.
    Member(Member),
    /// Nowhere: each byte follows from its offset.
    Symbolic(Symbolic),
    /// A stream that is not in the volume, by its URN.
    Missing(Arc<str>),
}

/// A map, ready to be read.
///
/// # Invariants
/// Pieces are sorted, disjoint, not empty, and end at or below `size`; their `target`
/// is an index of `targets`, and their offsets in the target do not exceed 64 bits.
pub(super) struct Mapped {
    size: u64,
    pieces: Vec<Piece>,
    targets: Vec<Source>,
    /// What is read between the pieces.
    gap: Source,
}

/// A part of a map, from `start` up to `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) target_offset: u64,
    pub(super) target: usize,
}

/// Irregularities of a map.
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
    /// A map of `pieces`, in any order; where pieces overlap, the later one wins.
    /// Without a `size`, the map ends with its last piece.
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

    /// The bytes that take work to read: those that are stored, and an eighth of the holes
    /// and zeros. Any machine with 4 GiB has a hole of a gigabyte.
    pub(super) fn work(&self) -> u64 {
        const HOLES_PER_WORK: u64 = 8;
        let is_stored =
            |piece: &&Piece| !matches!(self.target(piece), None | Some(Source::Symbolic(_)));
        let stored = self.pieces.iter().filter(is_stored);
        // Pieces are disjoint parts of the map.
        let stored: u64 = stored.map(|piece| piece.end - piece.start).sum();
        stored + (self.size - stored) / HOLES_PER_WORK
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

/// Sorts the pieces and makes them disjoint; later pieces win.
pub(super) fn resolved(pieces: &[Piece]) -> Vec<Piece> {
    resolve(pieces).0
}

/// As [`resolved`], and whether any two pieces overlap.
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
        while let Some(&index) = coming.peek() {
            let Some(piece) = pieces.get(index).filter(|piece| piece.start <= start) else {
                break;
            };
            coming.next();
            if piece.start < piece.end {
                overlaps |= piece.start < covered_to;
                covered_to = covered_to.max(piece.end);
                active.push(index);
            }
        }
        // The latest piece that has not ended.
        let top = loop {
            match active.peek().and_then(|&index| pieces.get(index)) {
                Some(piece) if piece.end <= start => {
                    active.pop();
                }
                other => break other,
            }
        };
        let Some(piece) = top else { continue };
        let target_offset = piece.target_offset + (start - piece.start);
        match resolved.last_mut() {
            Some(last)
                if last.end == start
                    && last.target == piece.target
                    && last.target_offset.checked_add(last.end - last.start)
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

/// The pieces in the member `map`, which has this number of `targets`.
pub(super) fn pieces(
    urn: &str,
    map: &[u8],
    targets: usize,
    decode: fn(&[u8]) -> Option<Record>,
) -> Result<Vec<Piece>, Error> {
    let records = map.chunks_exact(RECORD_BYTES);
    if !records.remainder().is_empty() {
        return Err(Error::object(urn, "its map is truncated within a record"));
    }
    let mut pieces = Vec::with_capacity(records.len());
    for (number, bytes) in records.enumerate() {
        let wrong = |what: &str| Error::object(urn, format!("record {number} of its map {what}"));
        let record = decode(bytes).ok_or_else(|| wrong("is truncated"))?;
        let target = u32_as_usize(record.target);
        if target >= targets {
            return Err(wrong("refers to a target that does not exist"));
        }
        let end = record.start.checked_add(record.len);
        let (Some(end), Some(_)) = (end, record.target_offset.checked_add(record.len)) else {
            return Err(wrong("exceeds 2^64 bytes"));
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
        let end = offset
            .checked_add(usize_as_u64(buf.len()))
            .filter(|end| *end <= self.size)
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        let mut rest = buf;
        let mut next = offset;
        let first = self.pieces.partition_point(|piece| piece.end <= offset);
        for piece in self.pieces.iter().skip(first) {
            if piece.start >= end {
                break;
            }
            if piece.start > next {
                let target = split_off_front(&mut rest, PhysLen::new(piece.start - next));
                self.gap.read(next, target)?;
                next = piece.start;
            }
            let until = piece.end.min(end);
            let target = split_off_front(&mut rest, PhysLen::new(until - next));
            let source = self.target(piece).ok_or_else(|| {
                io::Error::new(io::ErrorKind::InvalidData, "a map has no such target")
            })?;
            source.read(piece.target_offset + (next - piece.start), target)?;
            next = until;
        }
        if rest.is_empty() {
            Ok(())
        } else {
            self.gap.read(next, rest)
        }
    }
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
    fn gaps_pieces_and_the_tail_are_read_from_their_targets() {
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
        fn later_pieces_win_over_earlier_ones(
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
