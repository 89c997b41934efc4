// SPDX-License-Identifier: MIT OR Apache-2.0
//! Several sources as one: System RAM from one, everything else from another.

use crate::pages::Pages;
use crate::read_target::ReadTarget;
use linpmem_phys::{Errno, MemoryMap, PhysAddr, ReadPhys, SourceError, Unreadables};

/// The errno for pages that no source can read.
const NOT_HERE: Errno = Errno::EOPNOTSUPP;

/// System RAM from one source, and the rest from another if there is one.
pub(super) struct SplitSource {
    ram: Box<dyn ReadPhys>,
    rest: Option<Box<dyn ReadPhys>>,
    /// Every page that System RAM touches.
    ram_pages: Pages,
}

impl SplitSource {
    pub(super) fn new(
        ram: Box<dyn ReadPhys>,
        rest: Option<Box<dyn ReadPhys>>,
        map: &MemoryMap,
    ) -> Self {
        Self {
            ram,
            rest,
            ram_pages: Pages::touched_by(map.ram()),
        }
    }

    fn read_rest(
        &self,
        mut target: ReadTarget<'_>,
        unreadable: &mut Unreadables,
    ) -> Result<(), SourceError> {
        match &self.rest {
            Some(rest) => rest.read_phys(target.range().start(), target.bytes(), unreadable),
            None => {
                target.refuse(NOT_HERE, unreadable);
                Ok(())
            }
        }
    }
}

impl ReadPhys for SplitSource {
    fn read_phys(
        &self,
        start: PhysAddr,
        buf: &mut [u8],
        unreadable: &mut Unreadables,
    ) -> Result<(), SourceError> {
        let Some(target) = ReadTarget::new(start, buf) else {
            return Ok(()); // nothing was asked for
        };
        let mut left = Some(target);
        let range = left.as_ref().map(ReadTarget::range);
        for part in range.iter().flat_map(|&range| self.ram_pages.within(range)) {
            let Some(target) = left.take() else { break };
            let [before, ram, after] = target.around(part);
            if let Some(before) = before {
                self.read_rest(before, unreadable)?;
            }
            if let Some(mut ram) = ram {
                self.ram.read_phys(part.start(), ram.bytes(), unreadable)?;
            }
            left = after;
        }
        match left {
            Some(target) => self.read_rest(target, unreadable),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use linpmem_phys::{MemoryImage, PhysRange, Region, RegionKind};

    fn range(first: u64, last: u64) -> PhysRange {
        PhysRange::from_inclusive(PhysAddr::new(first), PhysAddr::new(last)).unwrap()
    }

    fn memory(byte: u8) -> Box<dyn ReadPhys> {
        let present = MemoryMap::new([Region {
            range: range(0, 0x7fff),
            kind: RegionKind::SystemRam,
        }]);
        Box::new(MemoryImage::new(present.unwrap(), vec![byte; 0x8000]))
    }

    #[test]
    fn each_page_comes_from_its_source() {
        let map =
            MemoryMap::new(
                [(0x1000, 0x2bff), (0x4000, 0x4fff)].map(|(first, last)| Region {
                    range: range(first, last),
                    kind: RegionKind::SystemRam,
                }),
            )
            .unwrap();
        let read = |rest| {
            let split = SplitSource::new(memory(1), rest, &map);
            let mut bytes = [9; 0x6000];
            let mut unreadable = Unreadables::new();
            split
                .read_phys(PhysAddr::ZERO, &mut bytes, &mut unreadable)
                .unwrap();
            let pages: Vec<u8> = bytes.iter().step_by(0x1000).copied().collect();
            assert!(
                bytes
                    .chunks(0x1000)
                    .all(|page| page.iter().all(|byte| *byte == page[0]))
            );
            (pages, unreadable)
        };
        let (pages, unreadable) = read(Some(memory(2)));
        assert_eq!(pages, [2, 1, 1, 2, 1, 2]);
        assert!(unreadable.is_empty());
        let (pages, unreadable) = read(None);
        assert_eq!(pages, [0, 1, 1, 0, 1, 0]);
        let listed: Vec<_> = unreadable
            .as_slice()
            .iter()
            .map(|item| item.range)
            .collect();
        assert_eq!(
            listed,
            [
                range(0, 0xfff),
                range(0x3000, 0x3fff),
                range(0x5000, 0x5fff)
            ]
        );
    }
}
