// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reading a span of addresses that may cross several stored ranges and the gaps
//! between them.

use crate::truncation::mark_missing;
use crate::{ReadAt, StoredRange, Truncation};
use linpmem_phys::num::{u64_as_usize, usize_as_u64};
use linpmem_phys::{Content, Errno, PAGE_SIZE, PhysAddr, PhysLen, PhysRange};
use linpmem_phys::{SourceError, Unreadables};

/// An image in which the bytes of each range are in one piece.
///
/// # Invariants
/// The ranges are sorted and disjoint; those with data have an offset.
#[derive(Debug)]
pub(crate) struct StoredSpans<S> {
    source: S,
    ranges: Vec<StoredRange>,
    truncation: Option<Truncation>,
}

impl<S: ReadAt> StoredSpans<S> {
    /// `ranges` must be sorted and disjoint, and those with data must have an
    /// offset.
    pub(crate) fn new(source: S, ranges: Vec<StoredRange>) -> Self {
        Self {
            source,
            ranges,
            truncation: None,
        }
    }

    /// The same for an image that may have been cut off: what is beyond the end of
    /// `source` is missing. With `is_open_ended`, it is known to be cut off, and may have
    /// had more ranges.
    pub(crate) fn cut(source: S, mut ranges: Vec<StoredRange>, is_open_ended: bool) -> Self {
        let end = source.len();
        let lacks = mark_missing(&mut ranges, end);
        let is_cut = lacks || is_open_ended || source.ends_early();
        Self {
            truncation: is_cut.then(|| Truncation::of(&ranges, end, is_open_ended)),
            source,
            ranges,
        }
    }

    pub(crate) fn truncation(&self) -> Option<Truncation> {
        self.truncation
    }

    pub(crate) fn ranges(&self) -> &[StoredRange] {
        &self.ranges
    }

    /// As [`linpmem_phys::ReadPhys::read_phys`].
    pub(crate) fn read_phys(
        &self,
        start: PhysAddr,
        buf: &mut [u8],
        unreadable: &mut Unreadables,
    ) -> Result<(), SourceError> {
        read_span(
            &self.ranges,
            start,
            buf,
            unreadable,
            |_, stored, part, target, unreadable| {
                self.read_part(stored, part, target, unreadable);
            },
        )
    }

    /// As [`linpmem_phys::ReadPhys::is_known_zero`].
    pub(crate) fn is_known_zero(&self, range: PhysRange) -> bool {
        let first = self
            .ranges
            .partition_point(|stored| stored.range.end() <= range.start());
        let Some(stored) = self.ranges.get(first) else {
            return false;
        };
        if stored.range.intersect(range) != Some(range) {
            return false;
        }
        match stored.content {
            Content::Zero => true,
            Content::Data => {
                let within = range.start().checked_sub(stored.range.start());
                let offset = stored.offset.zip(within);
                let offset = offset.and_then(|(offset, within)| offset.checked_add(within.get()));
                offset.is_some_and(|offset| self.source.hole(offset) >= range.len().get())
            }
            _ => false,
        }
    }

    /// Reads `part` of a stored range; page by page if the source does not give it
    /// as a whole.
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
            let target = split_off_front(&mut rest, piece.len());
            if self.fetch(stored, piece, target).is_none() {
                mark_unreadable(piece, target, Errno::EIO, unreadable);
            }
        }
    }

    fn fetch(&self, stored: &StoredRange, part: PhysRange, target: &mut [u8]) -> Option<()> {
        let within = part.start().checked_sub(stored.range.start())?;
        let offset = stored.offset?.checked_add(within.get())?;
        self.source.read_exact_at(offset, target).ok()
    }
}

/// Fills `buf` with the memory from `start` on. `read` fills the parts that are in
/// a range with data; it gets the range's index, the range, the part and the part's
/// piece of `buf`. Everything else is zero in `buf` and listed in `unreadable`,
/// except for ranges whose content is zero. `ranges` must be sorted and disjoint.
pub(crate) fn read_span(
    ranges: &[StoredRange],
    start: PhysAddr,
    buf: &mut [u8],
    unreadable: &mut Unreadables,
    mut read: impl FnMut(usize, &StoredRange, PhysRange, &mut [u8], &mut Unreadables),
) -> Result<(), SourceError> {
    if buf.is_empty() {
        return Ok(());
    }
    let len = PhysLen::new(usize_as_u64(buf.len()));
    let wanted = PhysRange::from_len(start, len).map_err(|_| {
        SourceError::new(
            start,
            format!("{len} from there on end past the last address; ask for less"),
        )
    })?;
    let mut rest = buf;
    let mut next = wanted.start();
    let first = ranges.partition_point(|stored| stored.range.end() <= wanted.start());
    for (index, stored) in ranges.iter().enumerate().skip(first) {
        let Some(part) = stored.range.intersect(wanted) else {
            break;
        };
        if let Ok(gap) = PhysRange::new(next, part.start()) {
            let target = split_off_front(&mut rest, gap.len());
            mark_unreadable(gap, target, Errno::ENXIO, unreadable);
        }
        let target = split_off_front(&mut rest, part.len());
        match stored.content {
            Content::Data => read(index, stored, part, target, unreadable),
            Content::Zero => target.fill(0),
            Content::Unreadable { errno } => mark_unreadable(part, target, errno, unreadable),
            Content::Skipped { .. } => mark_unreadable(part, target, Errno::ENXIO, unreadable),
        }
        next = part.end();
    }
    if let Ok(gap) = PhysRange::new(next, wanted.end()) {
        mark_unreadable(gap, rest, Errno::ENXIO, unreadable);
    }
    Ok(())
}

/// Zeroes `target` and lists its addresses as unreadable.
pub(crate) fn mark_unreadable(
    range: PhysRange,
    target: &mut [u8],
    errno: Errno,
    unreadable: &mut Unreadables,
) {
    target.fill(0);
    unreadable.push(range, errno);
}

/// Cuts the first `len` bytes off `rest`, or all of it if it is shorter.
pub(crate) fn split_off_front<'a>(rest: &mut &'a mut [u8], len: PhysLen) -> &'a mut [u8] {
    let whole = std::mem::take(rest);
    let (taken, tail) = whole.split_at_mut(u64_as_usize(len.get()).min(whole.len()));
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
        let image = StoredSpans::new(
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
        let image = StoredSpans::new(Broken, vec![stored(0, 0x4000, Content::Data, 0)]);
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
        let image = StoredSpans::new(Vec::new(), Vec::new());
        let mut unreadable = Unreadables::new();
        let top = PhysAddr::new(u64::MAX);
        assert!(image.read_phys(top, &mut [0; 2], &mut unreadable).is_err());
        image.read_phys(top, &mut [], &mut unreadable).unwrap();
        assert!(unreadable.is_empty());
    }
}
