// SPDX-License-Identifier: MIT OR Apache-2.0
//! Images whose ranges each lie in one piece.

use crate::{ReadAt, StoredRange};
use linpmem_phys::{Content, Errno, PAGE_SIZE, PhysAddr, PhysLen, PhysRange};
use linpmem_phys::{SourceError, Unreadables};

/// The bytes of an image and which addresses they belong to.
///
/// # Invariants
/// The ranges are sorted and disjoint; those with content have an offset.
#[derive(Debug)]
pub(crate) struct Linear<S> {
    source: S,
    ranges: Vec<StoredRange>,
}

impl<S: ReadAt> Linear<S> {
    /// `ranges` must be sorted and disjoint.
    pub(crate) fn new(source: S, ranges: Vec<StoredRange>) -> Self {
        Self { source, ranges }
    }

    pub(crate) fn ranges(&self) -> &[StoredRange] {
        &self.ranges
    }

    /// [`linpmem_phys::ReadPhys::read_phys`].
    pub(crate) fn read_phys(
        &self,
        start: PhysAddr,
        buf: &mut [u8],
        unreadable: &mut Unreadables,
    ) -> Result<(), SourceError> {
        read_stored(
            &self.ranges,
            start,
            buf,
            unreadable,
            |index, part, target, unreadable| {
                if let Some(stored) = self.ranges.get(index) {
                    self.read_part(stored, part, target, unreadable);
                }
            },
        )
    }

    /// Reads what is stored; page by page where not all of it can be.
    fn read_part(
        &self,
        stored: &StoredRange,
        part: PhysRange,
        target: &mut [u8],
        unreadable: &mut Unreadables,
    ) {
        if self.fetch(stored, part, target).is_some() {
            return;
        }
        let mut rest = target;
        for piece in part.pieces(PAGE_SIZE) {
            let target = take(&mut rest, piece.len());
            if self.fetch(stored, piece, target).is_none() {
                absent(piece, target, Errno::EIO, unreadable);
            }
        }
    }

    fn fetch(&self, stored: &StoredRange, part: PhysRange, target: &mut [u8]) -> Option<()> {
        let within = part.start().checked_sub(stored.range.start())?;
        let offset = stored.offset?.checked_add(within.get())?;
        self.source.read_exact_at(offset, target).ok()
    }
}

/// Fills `buf` with the memory from `start` on: what is in `ranges`, which are
/// sorted and disjoint, and hold data, by `read`, which is told the range's index;
/// all else as it must be.
pub(crate) fn read_stored(
    ranges: &[StoredRange],
    start: PhysAddr,
    buf: &mut [u8],
    unreadable: &mut Unreadables,
    mut read: impl FnMut(usize, PhysRange, &mut [u8], &mut Unreadables),
) -> Result<(), SourceError> {
    if buf.is_empty() {
        return Ok(());
    }
    let len = PhysLen::new(u64::try_from(buf.len()).unwrap_or(u64::MAX));
    let wanted = PhysRange::from_len(start, len)
        .map_err(|_| SourceError::new(start, "the request ends above every address"))?;
    let mut rest = buf;
    let mut next = wanted.start();
    let first = ranges.partition_point(|stored| stored.range.end() <= wanted.start());
    for (index, stored) in ranges.iter().enumerate().skip(first) {
        let Some(part) = stored.range.intersect(wanted) else {
            break;
        };
        if let Ok(gap) = PhysRange::new(next, part.start()) {
            absent(gap, take(&mut rest, gap.len()), Errno::ENXIO, unreadable);
        }
        let target = take(&mut rest, part.len());
        match stored.content {
            Content::Data => read(index, part, target, unreadable),
            Content::Zero => target.fill(0),
            Content::Unreadable { errno } => absent(part, target, errno, unreadable),
            Content::Skipped { .. } => absent(part, target, Errno::ENXIO, unreadable),
        }
        next = part.end();
    }
    if let Ok(gap) = PhysRange::new(next, wanted.end()) {
        absent(gap, rest, Errno::ENXIO, unreadable);
    }
    Ok(())
}

pub(crate) fn absent(
    range: PhysRange,
    target: &mut [u8],
    errno: Errno,
    unreadable: &mut Unreadables,
) {
    target.fill(0);
    unreadable.push(range, errno);
}

/// Cuts the first `len` bytes, or what there is of them, off `rest`.
pub(crate) fn take<'a>(rest: &mut &'a mut [u8], len: PhysLen) -> &'a mut [u8] {
    let whole = std::mem::take(rest);
    let len = usize::try_from(len.get()).unwrap_or(usize::MAX);
    let (taken, tail) = whole.split_at_mut(len.min(whole.len()));
    *rest = tail;
    taken
}

#[cfg(test)]
mod tests {
    use super::*;
    use linpmem_phys::{SkipReason, Unreadable};
    use std::io;

    fn range(start: u64, end: u64) -> PhysRange {
        PhysRange::new(PhysAddr::new(start), PhysAddr::new(end)).unwrap()
    }

    fn stored(start: u64, end: u64, content: Content, offset: u64) -> StoredRange {
        StoredRange {
            range: range(start, end),
            kind: None,
            content,
            offset: Some(offset),
        }
    }

    #[test]
    fn gives_what_is_stored_and_lists_the_rest_to_the_byte() {
        let bytes: Vec<u8> = (0..0x2000).map(|index| (index >> 8) as u8 + 1).collect();
        let skipped = Content::Skipped {
            reason: SkipReason::NotRequested,
        };
        let image = Linear::new(
            bytes,
            vec![
                stored(0x1000, 0x1c00, Content::Data, 0x400),
                stored(0x3000, 0x4000, Content::Data, 0x1000),
                stored(0x4000, 0x5000, skipped, 0),
            ],
        );
        let mut buf = vec![0xee; 0x5000];
        let mut unreadable = Unreadables::new();
        image
            .read_phys(PhysAddr::new(0x800), &mut buf, &mut unreadable)
            .unwrap();
        let absent = |start, end| Unreadable {
            range: range(start, end),
            errno: Errno::ENXIO,
        };
        assert_eq!(
            unreadable.as_slice(),
            [
                absent(0x800, 0x1000),
                absent(0x1c00, 0x3000),
                absent(0x4000, 0x5800)
            ]
        );
        assert_eq!(buf[0x7ff], 0);
        assert_eq!(buf[0x800], 5);
        assert_eq!(buf[0x13ff], 0x10);
        assert_eq!(buf[0x1400], 0);
        assert_eq!(buf[0x2800], 0x11);
        assert_eq!(buf[0x37ff], 0x20);
        assert!(buf[0x3800..].iter().all(|&byte| byte == 0));
    }

    struct Broken;

    impl ReadAt for Broken {
        fn len(&self) -> u64 {
            0x4000
        }
        fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
            let end = offset + buf.len() as u64;
            if offset < 0x2000 && end > 0x1000 {
                return Err(io::ErrorKind::Other.into());
            }
            buf.fill(7);
            Ok(())
        }
    }

    #[test]
    fn a_damaged_page_does_not_take_its_neighbours_along() {
        let image = Linear::new(Broken, vec![stored(0, 0x4000, Content::Data, 0)]);
        let mut buf = vec![0xee; 0x4000];
        let mut unreadable = Unreadables::new();
        image
            .read_phys(PhysAddr::ZERO, &mut buf, &mut unreadable)
            .unwrap();
        assert_eq!(
            unreadable.as_slice(),
            [Unreadable {
                range: range(0x1000, 0x2000),
                errno: Errno::EIO
            }]
        );
        assert!(buf[..0x1000].iter().all(|&byte| byte == 7));
        assert!(buf[0x1000..0x2000].iter().all(|&byte| byte == 0));
        assert!(buf[0x2000..].iter().all(|&byte| byte == 7));
    }

    #[test]
    fn a_request_past_every_address_is_refused() {
        let image = Linear::new(Vec::new(), Vec::new());
        let mut unreadable = Unreadables::new();
        let top = PhysAddr::new(u64::MAX);
        assert!(image.read_phys(top, &mut [0; 2], &mut unreadable).is_err());
        image.read_phys(top, &mut [], &mut unreadable).unwrap();
        assert!(unreadable.is_empty());
    }
}
