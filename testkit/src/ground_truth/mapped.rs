// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory in a file, and its place there.

use anyhow::{Result, ensure};
use linpmem_phys::{Errno, PhysAddr, PhysLen, PhysRange, ReadPhys, SourceError, Unreadables};
use std::fmt::Display;
use std::fs::File;
use std::os::unix::fs::FileExt;

/// A file that holds ranges of memory, each contiguous.
///
/// # Invariants
/// Pieces are sorted and disjoint.
#[derive(Debug)]
pub struct MappedFile {
    file: File,
    pieces: Vec<Piece>,
}

/// A range, and the offset of its first byte in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Its physical addresses.
    pub range: PhysRange,
    /// Its offset in the file, in bytes.
    pub offset: u64,
}

impl MappedFile {
    /// The memory that `file` holds in `pieces`, in any order.
    ///
    /// # Errors
    /// If two pieces overlap.
    pub fn new(file: File, mut pieces: Vec<Piece>) -> Result<Self> {
        pieces.sort_by_key(|piece| piece.range);
        for (lower, upper) in pieces.iter().zip(pieces.iter().skip(1)) {
            ensure!(
                lower.range.end() <= upper.range.start(),
                "{} overlaps {}",
                upper.range,
                lower.range
            );
        }
        Ok(Self { file, pieces })
    }

    /// The ranges that the file holds, by address.
    #[must_use]
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }
}

impl ReadPhys for MappedFile {
    fn read_phys(
        &self,
        start: PhysAddr,
        buf: &mut [u8],
        unreadable: &mut Unreadables,
    ) -> Result<(), SourceError> {
        buf.fill(0);
        let len = u64::try_from(buf.len()).map_err(|error| fault(start, &error))?;
        let Ok(whole) = PhysRange::from_len(start, PhysLen::new(len)) else {
            return Ok(()); // nothing was asked for
        };
        let mut rest = Some(whole);
        let first = self
            .pieces
            .partition_point(|piece| piece.range.end() <= start);
        for piece in self.pieces.iter().skip(first) {
            let Some((todo, held)) =
                rest.and_then(|todo| Some((todo, todo.intersect(piece.range)?)))
            else {
                break;
            };
            if let (Some(gap), _) = todo.split_at(held.start()) {
                unreadable.push(gap, Errno::ENXIO);
            }
            rest = todo.split_at(held.end()).1;
            let from = distance(start, held.start())?;
            let to = distance(start, held.end())?;
            let part = buf
                .get_mut(from..to)
                .ok_or_else(|| fault(start, &"outside the buffer"))?;
            let inside = distance(piece.range.start(), held.start())?;
            let offset = u64::try_from(inside)
                .ok()
                .and_then(|inside| piece.offset.checked_add(inside))
                .ok_or_else(|| fault(held.start(), &"its offset in the file overflows"))?;
            self.file.read_exact_at(part, offset).map_err(|error| {
                fault(
                    held.start(),
                    &format!("offset {offset} of the file: {error}"),
                )
            })?;
        }
        if let Some(gap) = rest {
            unreadable.push(gap, Errno::ENXIO);
        }
        Ok(())
    }
}

/// The number of bytes from `base` up to `addr`.
fn distance(base: PhysAddr, addr: PhysAddr) -> Result<usize, SourceError> {
    let distance = addr.checked_sub(base).map(PhysLen::get);
    distance
        .and_then(|distance| usize::try_from(distance).ok())
        .ok_or_else(|| fault(addr, &format!("too far from {base}")))
}

fn fault(addr: PhysAddr, what: &dyn Display) -> SourceError {
    SourceError::new(addr, what.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(start: u64, end: u64) -> PhysRange {
        PhysRange::new(PhysAddr::new(start), PhysAddr::new(end)).unwrap()
    }

    #[test]
    fn a_gap_is_unreadable_and_not_zero() {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(&[5; 0x1000], 0).unwrap();
        file.write_all_at(&[7; 0x1000], 0x1000).unwrap();
        let pieces = vec![
            Piece {
                range: range(0x4000, 0x5000),
                offset: 0x1000,
            },
            Piece {
                range: range(0x1000, 0x2000),
                offset: 0,
            },
        ];
        let memory = MappedFile::new(file, pieces).unwrap();
        let mut buf = [9; 0x5000];
        let mut unreadable = Unreadables::new();
        memory
            .read_phys(PhysAddr::new(0x800), &mut buf, &mut unreadable)
            .unwrap();
        assert!(buf[..0x800].iter().all(|&byte| byte == 0));
        assert!(buf[0x800..0x1800].iter().all(|&byte| byte == 5));
        assert!(buf[0x1800..0x3800].iter().all(|&byte| byte == 0));
        assert!(buf[0x3800..0x4800].iter().all(|&byte| byte == 7));
        let listed: Vec<PhysRange> = unreadable
            .as_slice()
            .iter()
            .map(|item| item.range)
            .collect();
        assert_eq!(
            listed,
            [
                range(0x800, 0x1000),
                range(0x2000, 0x4000),
                range(0x5000, 0x5800)
            ]
        );
        unreadable.clear();
        memory
            .read_phys(PhysAddr::new(0x9000), &mut buf[..0x1000], &mut unreadable)
            .unwrap();
        assert_eq!(unreadable.total().get(), 0x1000);
    }

    #[test]
    fn pieces_that_overlap_are_refused() {
        let file = tempfile::tempfile().unwrap();
        let pieces = vec![
            Piece {
                range: range(0x1000, 0x3000),
                offset: 0,
            },
            Piece {
                range: range(0x2000, 0x4000),
                offset: 0,
            },
        ];
        assert!(MappedFile::new(file, pieces).is_err());
    }
}
