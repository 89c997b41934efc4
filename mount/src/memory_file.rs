// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory as a file: an offset is an address, from that of the first byte on.

use crate::part::{Attributes, Seek};
use linpmem_formats::{ImageReader, StoredRange};
use linpmem_phys::num::{u64_as_usize, usize_as_u64};
use linpmem_phys::{Content, Errno, PhysAddr, Unreadables};
use std::sync::Arc;

/// The largest file that Linux has.
const MAX_BYTES: u64 = i64::MAX.unsigned_abs();

/// The addresses from `start` to `end` as a file. What the image does not have of them is zero,
/// and a hole.
pub(crate) struct MemoryFile {
    image: Arc<dyn ImageReader>,
    start: u64,
    size: u64,
}

impl MemoryFile {
    pub(crate) fn new(image: Arc<dyn ImageReader>, start: u64, end: u64) -> Self {
        Self {
            image,
            start,
            size: end.saturating_sub(start).min(MAX_BYTES),
        }
    }

    pub(crate) fn attributes(&self) -> Attributes {
        Attributes {
            stored: self.stored(),
            ..Attributes::file(self.size)
        }
    }

    pub(crate) fn read(&self, at: u64, buf: &mut [u8]) -> Result<usize, Errno> {
        let left = self.size.saturating_sub(at);
        let len = usize_as_u64(buf.len()).min(left);
        let (target, _) = buf.split_at_mut(u64_as_usize(len));
        read_memory(&*self.image, self.start.saturating_add(at), target)?;
        Ok(target.len())
    }

    pub(crate) fn seek(&self, at: u64, what: Seek) -> Result<u64, Errno> {
        if at >= self.size {
            return Err(Errno::ENXIO);
        }
        let end = self.start.saturating_add(self.size);
        let from = self.start.saturating_add(at);
        let found = match what {
            Seek::Data => self.held_from(from).find(|&(_, last)| last >= from),
            Seek::Hole => {
                let mut next = from;
                for (start, last) in self.held_from(from) {
                    // Whatever follows the last address is a hole, too.
                    let Some(after) = last.checked_add(1).filter(|_| start <= next) else {
                        break;
                    };
                    next = next.max(after);
                }
                Some((next, next))
            }
        };
        match (found, what) {
            (Some((start, _)), Seek::Data) if start < end => {
                Ok(start.max(from).saturating_sub(self.start))
            }
            (Some((next, _)), Seek::Hole) => Ok(next.min(end).saturating_sub(self.start)),
            _ => Err(Errno::ENXIO),
        }
    }

    /// First and last address of each range that the image has, from the one on that ends
    /// after `from`.
    fn held_from(&self, from: u64) -> impl Iterator<Item = (u64, u64)> + '_ {
        let ranges = self.image.ranges();
        let first = ranges.partition_point(|stored| stored.range.last().get() < from);
        let rest = ranges.get(first..).unwrap_or(&[]).iter();
        rest.filter(|stored| is_held(stored))
            .map(|stored| (stored.range.start().get(), stored.range.last().get()))
    }

    fn stored(&self) -> u64 {
        let end = self.start.saturating_add(self.size);
        self.held_from(self.start)
            .take_while(|&(start, _)| start < end)
            .map(|(start, last)| {
                let after = last.saturating_add(1).min(end);
                after.saturating_sub(start.max(self.start))
            })
            .sum()
    }
}

/// Whether the image has the bytes of a range; those that are known to be zero, too.
const fn is_held(stored: &StoredRange) -> bool {
    matches!(stored.content, Content::Data | Content::Zero)
}

/// Fills `buf` with the memory at `at`. What the image does not have is zero.
pub(crate) fn read_memory(image: &dyn ImageReader, at: u64, buf: &mut [u8]) -> Result<(), Errno> {
    let mut unreadable = Unreadables::new();
    let read = image.read_phys(PhysAddr::new(at), buf, &mut unreadable);
    read.map_err(|_| Errno::EIO)
}
