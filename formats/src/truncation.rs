// SPDX-License-Identifier: MIT OR Apache-2.0
//! Images that end early: what is there is read, and the rest is listed.

use crate::StoredRange;
use linpmem_phys::{Content, Errno, PhysAddr, PhysLen};
use std::fmt;

/// An image whose file ends early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Truncation {
    /// Where its bytes end, counted before any compression around the image.
    pub end: u64,
    /// Memory that the image lists and its file lacks: the ranges whose content is
    /// [`Content::Unreadable`] with [`Truncation::ERRNO`].
    pub missing: PhysLen,
    /// The lowest address of it.
    pub first: Option<PhysAddr>,
    /// Whether more may be missing than the image still lists.
    pub is_open_ended: bool,
}

impl Truncation {
    /// The reason why an address that an image lists cannot be read if its file ends
    /// before it.
    pub const ERRNO: Errno = Errno::ENOLINK;

    /// What an image of `ranges` lacks whose bytes end at `end`.
    #[must_use]
    pub fn of(ranges: &[StoredRange], end: u64, is_open_ended: bool) -> Self {
        let missing = || {
            let lost = Content::Unreadable { errno: Self::ERRNO };
            let ranges = ranges.iter().filter(move |stored| stored.content == lost);
            ranges.map(|stored| stored.range)
        };
        Self {
            end,
            // Ranges do not overlap: the sum fits.
            missing: PhysLen::new(missing().map(|range| range.len().get()).sum()),
            first: missing().map(|range| range.start()).min(),
            is_open_ended,
        }
    }
}

impl fmt::Display for Truncation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the image is cut off: its data ends at offset {:#x}; ",
            self.end
        )?;
        match self.first {
            Some(first) => write!(
                f,
                "{} of the memory that it lists is missing, from {first} on",
                self.missing
            )?,
            None => f.write_str("all memory that it lists is there")?,
        }
        if self.is_open_ended {
            f.write_str("; ranges that it no longer lists may be missing as well")?;
        }
        Ok(())
    }
}

/// Marks what `ranges` hold at or beyond `end`, an offset in the image, as missing.
/// Returns whether there is any.
pub(crate) fn mark_missing(ranges: &mut Vec<StoredRange>, end: u64) -> bool {
    let ends_early = |stored: &StoredRange| {
        let after = stored
            .offset
            .and_then(|offset| offset.checked_add(stored.range.len().get()));
        stored.content == Content::Data && after.is_none_or(|after| after > end)
    };
    if !ranges.iter().any(ends_early) {
        return false;
    }
    let mut marked = Vec::with_capacity(ranges.len() + 1);
    for stored in ranges.drain(..) {
        if !ends_early(&stored) {
            marked.push(stored);
            continue;
        }
        let there = stored
            .offset
            .and_then(|offset| end.checked_sub(offset))
            .unwrap_or(0);
        let border = stored.range.start().checked_add(PhysLen::new(there));
        let (present, lost) = match border {
            Some(border) => stored.range.split_at(border),
            None => (None, Some(stored.range)),
        };
        marked.extend(present.map(|range| StoredRange { range, ..stored }));
        marked.extend(lost.map(|range| missing(range, stored.kind)));
    }
    *ranges = marked;
    true
}

/// A range that the image lists and its file lacks.
pub(crate) const fn missing(
    range: linpmem_phys::PhysRange,
    kind: Option<linpmem_phys::RegionKind>,
) -> StoredRange {
    StoredRange {
        range,
        kind,
        content: Content::Unreadable {
            errno: Truncation::ERRNO,
        },
        offset: None,
    }
}
