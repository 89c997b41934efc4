// SPDX-License-Identifier: MIT OR Apache-2.0
//! A buffer together with the addresses that it is filled from, split as one; and filling
//! it from a file in which some pages cannot be read.

use linpmem_phys::num::usize_as_u64;
use linpmem_phys::{Errno, PAGE_SIZE, PhysAddr, PhysLen, PhysRange, Unreadables};
use std::io::{self, ErrorKind};

/// Addresses to read, and the buffer for their bytes.
///
/// # Invariants
/// `bytes` is as long as `range`.
#[derive(Debug)]
pub(crate) struct ReadTarget<'a> {
    range: PhysRange,
    bytes: &'a mut [u8],
}

impl<'a> ReadTarget<'a> {
    /// The addresses from `start` on that fill `bytes`. `None` if `bytes` is empty, or if it
    /// would extend beyond the last address.
    pub(crate) fn new(start: PhysAddr, bytes: &'a mut [u8]) -> Option<Self> {
        let len = PhysLen::new(u64::try_from(bytes.len()).ok()?);
        let range = PhysRange::from_len(start, len).ok()?;
        Some(Self { range, bytes })
    }

    pub(crate) fn range(&self) -> PhysRange {
        self.range
    }

    pub(crate) fn bytes(&mut self) -> &mut [u8] {
        self.bytes
    }

    /// The parts below `addr`, and from `addr` on.
    pub(crate) fn split_at(self, addr: PhysAddr) -> (Option<Self>, Option<Self>) {
        let (below, above) = self.range.split_at(addr);
        let len = below.map_or(0, |range| usize::try_from(range.len().get()).unwrap_or(0));
        let (left, right) = self.bytes.split_at_mut(len.min(self.bytes.len()));
        (
            below.map(|range| Self { range, bytes: left }),
            above.map(|range| Self {
                range,
                bytes: right,
            }),
        )
    }

    /// The pieces before, in and after `part`.
    pub(crate) fn around(self, part: PhysRange) -> [Option<Self>; 3] {
        let (before, rest) = self.split_at(part.start());
        let (within, after) = rest.map_or((None, None), |rest| rest.split_at(part.end()));
        [before, within, after]
    }

    /// Marks all of it as unreadable: zero in the buffer, and listed.
    pub(crate) fn refuse(self, errno: Errno, unreadable: &mut Unreadables) {
        self.bytes.fill(0);
        unreadable.push(self.range, errno);
    }
}

/// Fills `target` by `read`, which may read less than was asked for. A range that cannot
/// be read is halved until single pages are left; those that cannot be read are zero and
/// listed.
pub(crate) fn fill(
    target: ReadTarget<'_>,
    read: &mut dyn FnMut(PhysAddr, &mut [u8]) -> io::Result<usize>,
    unreadable: &mut Unreadables,
) {
    let mut rest = Some(target);
    while let Some(mut target) = rest.take() {
        let range = target.range;
        let errno = match read(range.start(), target.bytes()) {
            // The end of the file: no such address.
            Ok(0) => Errno::ENXIO,
            Ok(count) => {
                let count = PhysLen::new(usize_as_u64(count));
                rest = range
                    .start()
                    .checked_add(count)
                    .and_then(|next| target.split_at(next).1);
                continue;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {
                rest = Some(target);
                continue;
            }
            Err(error) => error.raw_os_error().map_or(Errno::EIO, Errno::new),
        };
        match middle(range) {
            None => target.refuse(errno, unreadable),
            Some(middle) => {
                let (left, right) = target.split_at(middle);
                if let Some(left) = left {
                    fill(left, read, unreadable);
                }
                rest = right;
            }
        }
    }
}

/// As [`fill`], except that the pages in `refused` are listed without being read.
pub(crate) fn fill_except(
    target: ReadTarget<'_>,
    refused: &Unreadables,
    read: &mut dyn FnMut(PhysAddr, &mut [u8]) -> io::Result<usize>,
    unreadable: &mut Unreadables,
) {
    refuse_some(target, refused, unreadable, &mut |part, unreadable| {
        fill(part, read, unreadable);
    });
}

/// Lists the pages in `refused`, and hands the others to `rest`, by address.
pub(crate) fn refuse_some(
    target: ReadTarget<'_>,
    refused: &Unreadables,
    unreadable: &mut Unreadables,
    rest: &mut dyn FnMut(ReadTarget<'_>, &mut Unreadables),
) {
    let mut last = Some(target);
    for item in refused.as_slice() {
        let Some(left) = last.take() else { break };
        let [before, within, after] = left.around(item.range);
        if let Some(before) = before {
            rest(before, unreadable);
        }
        if let Some(within) = within {
            within.refuse(item.errno, unreadable);
        }
        last = after;
    }
    if let Some(last) = last {
        rest(last, unreadable);
    }
}

/// The page boundary nearest to the middle of `range`, if there is one within it.
fn middle(range: PhysRange) -> Option<PhysAddr> {
    let half = PhysLen::new(range.len().get() / 2);
    let floor = range.start().checked_add(half)?.page_floor();
    let border = if floor > range.start() {
        floor
    } else {
        range.start().page_floor().checked_add(PAGE_SIZE)?
    };
    (border < range.end()).then_some(border)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(
        start: u64,
        len: usize,
        mut read: impl FnMut(PhysAddr, &mut [u8]) -> io::Result<usize>,
    ) -> (Vec<u8>, Vec<(String, String)>) {
        let mut bytes = vec![0x55; len];
        let mut unreadable = Unreadables::new();
        let target = ReadTarget::new(PhysAddr::new(start), &mut bytes).unwrap();
        fill(target, &mut read, &mut unreadable);
        let listed = unreadable
            .as_slice()
            .iter()
            .map(|item| (item.range.to_string(), item.errno.to_string()))
            .collect();
        (bytes, listed)
    }

    /// Pages 5 and 6 are refused, whatever else a call asks for.
    fn refusing(at: PhysAddr, bytes: &mut [u8]) -> io::Result<usize> {
        let len = u64::try_from(bytes.len()).unwrap();
        let whole = PhysRange::from_len(at, PhysLen::new(len)).unwrap();
        let bad = PhysRange::new(PhysAddr::new(0x5000), PhysAddr::new(0x7000)).unwrap();
        if whole.intersect(bad).is_some() {
            return Err(io::Error::from_raw_os_error(5));
        }
        bytes.fill(0xaa);
        Ok(bytes.len())
    }

    #[test]
    fn refused_pages_are_found_and_nothing_else_is_lost() {
        for (start, len) in [(0x1000, 0xf000), (0x800, 0x9000), (0x4fff, 0x2002)] {
            let (bytes, listed) = filled(start, len, refusing);
            assert_eq!(
                listed,
                [("0x5000-0x6fff".to_owned(), "EIO".to_owned())],
                "{start:#x}"
            );
            for (addr, byte) in (start..).zip(&bytes) {
                let good = !(0x5000..0x7000).contains(&addr);
                assert_eq!(*byte, if good { 0xaa } else { 0 }, "{addr:#x}");
            }
        }
    }

    #[test]
    fn short_reads_go_on_and_the_end_of_the_file_ends_them() {
        let (bytes, listed) = filled(0x1000, 0x3000, |at, bytes| {
            let left = usize::try_from(0x2800_u64.saturating_sub(at.get())).unwrap();
            let len = bytes.len().min(left).min(0x300);
            bytes[..len].fill(0xaa);
            Ok(len)
        });
        assert_eq!(
            listed,
            [("0x2800-0x3fff".to_owned(), "ENXIO".to_owned())],
            "everything after the end"
        );
        assert!(bytes[..0x1800].iter().all(|&byte| byte == 0xaa));
        assert!(bytes[0x1800..].iter().all(|&byte| byte == 0));
    }

    #[test]
    fn an_interrupted_read_is_done_again() {
        let mut calls = 0;
        let (bytes, listed) = filled(0, 0x1000, |_, bytes| {
            calls += 1;
            match calls {
                1 => Err(ErrorKind::Interrupted.into()),
                _ => {
                    bytes.fill(1);
                    Ok(bytes.len())
                }
            }
        });
        assert!(listed.is_empty());
        assert!(bytes.iter().all(|&byte| byte == 1));
    }

    #[test]
    fn a_buffer_is_cut_where_its_addresses_are() {
        let mut bytes = [0; 0x30];
        let target = ReadTarget::new(PhysAddr::new(0x1000), &mut bytes).unwrap();
        let part = PhysRange::new(PhysAddr::new(0x1010), PhysAddr::new(0x1020)).unwrap();
        for (piece, (start, value)) in
            target
                .around(part)
                .into_iter()
                .zip([(0x1000, 1), (0x1010, 2), (0x1020, 3)])
        {
            let mut piece = piece.unwrap();
            assert_eq!(piece.range().start().get(), start);
            assert_eq!(piece.bytes().len(), 0x10);
            piece.bytes().fill(value);
        }
        assert!(bytes[..0x10].iter().all(|&byte| byte == 1));
        assert!(bytes[0x20..].iter().all(|&byte| byte == 3));
    }
}
