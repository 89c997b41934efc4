// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory of an image, with what its manifest remembers of pages that could not be
//! read: most formats hold zeros there and cannot say more.

use linpmem_formats::ImageReader;
use linpmem_manifest::Manifest;
use linpmem_phys::{
    Errno, PAGE_SIZE, PhysAddr, PhysLen, PhysRange, ReadPhys, SourceError, Unreadable, Unreadables,
    is_zero,
};

/// An image, as nothing but memory.
pub(super) struct ImageWithManifest {
    image: Box<dyn ImageReader>,
    /// By address.
    unreadable: Vec<(PhysRange, Errno)>,
}

impl ImageWithManifest {
    /// The memory of `image`, which `manifest` describes, if there is one.
    pub(super) fn new(image: Box<dyn ImageReader>, manifest: Option<&Manifest>) -> Self {
        let records = manifest.iter().flat_map(|manifest| &manifest.ranges);
        let mut unreadable: Vec<_> = records
            .flat_map(|range| &range.unreadable)
            .filter_map(|record| {
                let first = PhysAddr::new(record.start.0);
                let last = PhysAddr::new(record.last.0);
                let range = PhysRange::from_inclusive(first, last).ok()?;
                Some((range, Errno::new(record.errno)))
            })
            .collect();
        unreadable.sort_unstable_by_key(|&(range, _)| range);
        Self { image, unreadable }
    }

    fn errno_at(&self, range: PhysRange) -> Option<Errno> {
        let behind = self
            .unreadable
            .partition_point(|(known, _)| known.start() <= range.start());
        let &(known, errno) = self.unreadable.get(behind.checked_sub(1)?)?;
        known.covers(range).then_some(errno)
    }
}

impl ReadPhys for ImageWithManifest {
    fn read_phys(
        &self,
        start: PhysAddr,
        buf: &mut [u8],
        unreadable: &mut Unreadables,
    ) -> Result<(), SourceError> {
        let mut told = Unreadables::new();
        self.image.read_phys(start, buf, &mut told)?;
        let len = PhysLen::new(u64::try_from(buf.len()).unwrap_or(u64::MAX));
        let is_remembered = PhysRange::from_len(start, len).is_ok_and(|all| {
            let known = self
                .unreadable
                .partition_point(|(known, _)| known.end() <= all.start());
            let next = self.unreadable.get(known);
            next.is_some_and(|(known, _)| known.intersect(all).is_some())
        });
        if !is_remembered {
            for item in told.as_slice() {
                unreadable.push(item.range, item.errno);
            }
            return Ok(());
        }
        let mut at = start;
        let page = usize::try_from(PAGE_SIZE.get()).unwrap_or(usize::MAX);
        for part in buf.chunks(page) {
            let len = PhysLen::new(u64::try_from(part.len()).unwrap_or(u64::MAX));
            let Ok(range) = PhysRange::from_len(at, len) else {
                break;
            };
            // Bytes that are there were read, whatever a manifest says.
            match self.errno_at(range).filter(|_| is_zero(part)) {
                Some(errno) => unreadable.push(range, errno),
                None => copy(told.as_slice(), range, unreadable),
            }
            at = range.end();
        }
        Ok(())
    }
}

/// What `told` has of `range`.
fn copy(told: &[Unreadable], range: PhysRange, unreadable: &mut Unreadables) {
    let first = told.partition_point(|item| item.range.end() <= range.start());
    for item in told.iter().skip(first) {
        match item.range.intersect(range) {
            Some(part) => unreadable.push(part, item.errno),
            None => break,
        }
    }
}
