// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reading physical memory.

use crate::num::{u64_as_usize, usize_as_u64};
use crate::{Errno, MemoryMap, PAGE_SIZE, PhysAddr, PhysLen, PhysRange};
use std::fmt;

/// A source of physical memory: a driver, /proc/kcore, an image.
pub trait ReadPhys: Send + Sync {
    /// Fills `buf` with the bytes from `start` on.
    ///
    /// Pages that cannot be read are zero in `buf` and listed in `unreadable`, clipped to
    /// the request; the call still succeeds. No byte is read twice, because it may have
    /// changed in between.
    ///
    /// # Errors
    /// Only if the source as a whole has failed and later reads will fail as well: the
    /// device was removed, or the permission was withdrawn.
    fn read_phys(
        &self,
        start: PhysAddr,
        buf: &mut [u8],
        unreadable: &mut Unreadables,
    ) -> Result<(), SourceError>;

    /// Whether all memory of `range` can be read and is zero, as the source knows without
    /// reading it: it is in a hole of an image's file. `false` says nothing.
    fn is_known_zero(&self, range: PhysRange) -> bool {
        let _ = range;
        false
    }
}

/// A range that could not be read, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// The addresses.
    pub range: PhysRange,
    /// The kernel's reason.
    pub errno: Errno,
}

/// Ranges that could not be read, in the order of reading. A range that continues the
/// previous one, for the same reason, extends it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unreadables {
    list: Vec<Unreadable>,
}

/// A source that can no longer be read at all.
#[derive(Debug)]
#[non_exhaustive]
pub struct SourceError {
    /// What failed, on what, and what to do.
    pub message: String,
    /// The address that should have been read.
    pub at: PhysAddr,
}

impl Unreadables {
    /// An empty list.
    #[must_use]
    pub const fn new() -> Self {
        Self { list: Vec::new() }
    }

    /// Adds `range`.
    pub fn push(&mut self, range: PhysRange, errno: Errno) {
        if let Some(last) = self.list.last_mut() {
            if last.errno == errno && last.range.end() == range.start() {
                if let Ok(joined) = PhysRange::new(last.range.start(), range.end()) {
                    last.range = joined;
                    return;
                }
            }
        }
        self.list.push(Unreadable { range, errno });
    }

    /// Adds all ranges of `other`, in order.
    pub fn append(&mut self, other: &Self) {
        for item in &other.list {
            self.push(item.range, item.errno);
        }
    }

    /// The ranges.
    #[must_use]
    pub fn as_slice(&self) -> &[Unreadable] {
        &self.list
    }

    /// Whether everything could be read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Empties the list, but keeps its memory for reuse.
    pub fn clear(&mut self) {
        self.list.clear();
    }

    /// The number of bytes that could not be read.
    #[must_use]
    pub fn total(&self) -> PhysLen {
        // Every byte is read at most once, so that the ranges are disjoint.
        PhysLen::new(self.list.iter().map(|item| item.range.len().get()).sum())
    }
}

impl SourceError {
    /// A failure at `at`; `message` says what failed and what to do.
    #[must_use]
    pub fn new(at: PhysAddr, message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            at,
        }
    }
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "reading at {}: {}", self.at, self.message)
    }
}

impl std::error::Error for SourceError {}

/// Physical memory in a byte vector, for tests and small images. Address 0 is the first
/// byte, and only the regions of `present` can be read.
#[derive(Clone, Debug)]
pub struct MemoryImage {
    present: MemoryMap,
    bytes: Vec<u8>,
}

impl MemoryImage {
    /// The memory `bytes`, in which the regions of `present` can be read.
    #[must_use]
    pub fn new(present: MemoryMap, bytes: Vec<u8>) -> Self {
        Self { present, bytes }
    }

    fn page(&self, part: PhysRange) -> Option<&[u8]> {
        let region = self.present.at(part.start())?;
        if !region.range.covers(part) {
            return None;
        }
        let [start, end] = [part.start(), part.end()].map(|addr| u64_as_usize(addr.get()));
        self.bytes.get(start..end)
    }
}

impl ReadPhys for MemoryImage {
    fn read_phys(
        &self,
        start: PhysAddr,
        buf: &mut [u8],
        unreadable: &mut Unreadables,
    ) -> Result<(), SourceError> {
        let len = PhysLen::new(usize_as_u64(buf.len()));
        let Ok(whole) = PhysRange::from_len(start, len) else {
            return Ok(()); // an empty request
        };
        let mut rest = buf;
        for part in whole.pieces(PAGE_SIZE) {
            // The pieces add up to the length of `buf`.
            let (target, tail) = rest.split_at_mut(u64_as_usize(part.len().get()));
            rest = tail;
            match self.page(part) {
                Some(source) => target.copy_from_slice(source),
                None => {
                    target.fill(0);
                    unreadable.push(part, Errno::ENXIO);
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Region, RegionKind};

    fn range(start: u64, end: u64) -> PhysRange {
        PhysRange::new(PhysAddr::new(start), PhysAddr::new(end)).unwrap()
    }

    #[test]
    fn what_is_absent_is_zero_and_listed_once() {
        let present = MemoryMap::new([
            Region {
                range: range(0, 0x1000),
                kind: RegionKind::SystemRam,
            },
            Region {
                range: range(0x3000, 0x4000),
                kind: RegionKind::SystemRam,
            },
        ])
        .unwrap();
        let memory = MemoryImage::new(present, vec![0xaa; 0x4000]);
        let mut buf = vec![0x55; 0x3000];
        let mut unreadable = Unreadables::new();
        memory
            .read_phys(PhysAddr::new(0x800), &mut buf, &mut unreadable)
            .unwrap();
        assert!(buf[..0x800].iter().all(|&byte| byte == 0xaa));
        assert!(buf[0x800..0x2800].iter().all(|&byte| byte == 0));
        assert!(buf[0x2800..].iter().all(|&byte| byte == 0xaa));
        assert_eq!(
            unreadable.as_slice(),
            [Unreadable {
                range: range(0x1000, 0x3000),
                errno: Errno::ENXIO
            }]
        );
        assert_eq!(unreadable.total().get(), 0x2000);
    }

    #[test]
    fn different_reasons_stay_apart() {
        let mut list = Unreadables::new();
        list.push(range(0x1000, 0x2000), Errno::EIO);
        list.push(range(0x2000, 0x3000), Errno::ENXIO);
        list.push(range(0x4000, 0x5000), Errno::ENXIO);
        assert_eq!(list.as_slice().len(), 3);
    }
}
