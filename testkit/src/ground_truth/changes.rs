// SPDX-License-Identifier: MIT OR Apache-2.0
//! The pages of a machine's memory that changed between two moments.

use anyhow::{Result, ensure};
use linpmem_phys::{MemoryMap, PAGE_SIZE, PhysLen, PhysRange, ReadPhys, Unreadables};

/// How much of each side is read at a time.
const PIECE: PhysLen = PhysLen::new(1 << 20);

/// The pages of `map` whose bytes differ between `before` and `after`, by address, with
/// neighbours joined. A partial page counts as a page of its own.
///
/// # Errors
/// If one side cannot be read, or has no memory somewhere in `map`.
pub fn changed_pages(
    map: &MemoryMap,
    before: &dyn ReadPhys,
    after: &dyn ReadPhys,
) -> Result<Vec<PhysRange>> {
    let mut changed: Vec<PhysRange> = Vec::new();
    let (mut old, mut new) = (Vec::new(), Vec::new());
    for region in map.regions() {
        for piece in region.range.pieces(PIECE) {
            load(before, piece, &mut old)?;
            load(after, piece, &mut new)?;
            let (mut old, mut new) = (&*old, &*new);
            for page in piece.pieces(PAGE_SIZE) {
                let len = usize::try_from(page.len().get())?;
                let (was, is);
                (was, old) = old.split_at(len);
                (is, new) = new.split_at(len);
                if was == is {
                    continue;
                }
                match changed.last_mut() {
                    Some(last) if last.end() == page.start() => {
                        *last = PhysRange::new(last.start(), page.end())?;
                    }
                    _ => changed.push(page),
                }
            }
        }
    }
    Ok(changed)
}

fn load(side: &dyn ReadPhys, piece: PhysRange, bytes: &mut Vec<u8>) -> Result<()> {
    let mut unreadable = Unreadables::new();
    bytes.resize(usize::try_from(piece.len().get())?, 0);
    side.read_phys(piece.start(), bytes, &mut unreadable)?;
    ensure!(unreadable.is_empty(), "no memory in part of {piece}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use linpmem_phys::{MemoryImage, PhysAddr, Region, RegionKind};

    fn range(start: u64, end: u64) -> PhysRange {
        PhysRange::new(PhysAddr::new(start), PhysAddr::new(end)).unwrap()
    }

    fn map(ranges: &[PhysRange]) -> MemoryMap {
        let kind = RegionKind::SystemRam;
        MemoryMap::new(ranges.iter().map(|&range| Region { range, kind })).unwrap()
    }

    #[test]
    fn changed_pages_are_found_across_pieces_and_holes() {
        // More than one piece, then a hole, then a partial page.
        let map = map(&[range(0, 0x10_3000), range(0x20_0000, 0x20_1800)]);
        let bytes = vec![7_u8; 0x20_1800];
        let before = MemoryImage::new(map.clone(), bytes.clone());
        assert_eq!(changed_pages(&map, &before, &before).unwrap(), []);
        let mut other = bytes;
        for at in [0x1fff, 0x2000, 0xf_f000, 0x10_0fff, 0x10_2000, 0x20_17ff] {
            other[at] = 8;
        }
        let after = MemoryImage::new(map.clone(), other);
        assert_eq!(
            changed_pages(&map, &before, &after).unwrap(),
            [
                range(0x1000, 0x3000),
                range(0xf_f000, 0x10_1000),
                range(0x10_2000, 0x10_3000),
                range(0x20_1000, 0x20_1800)
            ]
        );
    }

    #[test]
    fn memory_missing_on_one_side_is_an_error_and_not_a_change() {
        let whole = MemoryImage::new(map(&[range(0, 0x2000)]), vec![0; 0x2000]);
        let half = MemoryImage::new(map(&[range(0, 0x1000)]), vec![0; 0x1000]);
        for (before, after) in [(&whole, &half), (&half, &whole)] {
            let found = changed_pages(&map(&[range(0, 0x2000)]), before, after);
            assert!(found.unwrap_err().to_string().contains("no memory"));
        }
    }
}
