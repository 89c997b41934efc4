// SPDX-License-Identifier: MIT OR Apache-2.0
//! The memory map of an image, completed from its manifest: most formats do not store the
//! kind of memory, and some leave out pages that could not be read.

use linpmem_formats::{ImageReader, StoredRange};
use linpmem_manifest::{Manifest, Range};
use linpmem_phys::{Content, PhysRange, Region, RegionKind};

/// The regions of `image`, by address, with the pages that it lacks and that `manifest`
/// lists as unreadable.
pub(super) fn regions(image: &dyn ImageReader, manifest: Option<&Manifest>) -> Vec<Region> {
    // Sorted by address: the manifest's reader has checked that.
    let ranges = manifest.map_or(&[][..], |manifest| &manifest.ranges);
    let unreadable: Vec<PhysRange> = ranges
        .iter()
        .flat_map(|range| &range.unreadable)
        .map(|unreadable| unreadable.range)
        .collect();
    let mut regions = Vec::new();
    for stored in image.ranges() {
        match stored.content {
            Content::Skipped { .. } => {
                for part in within(&unreadable, stored.range) {
                    named(ranges, part, stored, &mut regions);
                }
            }
            _ => named(ranges, stored.range, stored, &mut regions),
        }
    }
    regions
}

/// The parts of `sorted` in `whole`.
fn within(sorted: &[PhysRange], whole: PhysRange) -> impl Iterator<Item = PhysRange> + '_ {
    let first = sorted.partition_point(|range| range.end() <= whole.start());
    let rest = sorted.get(first..).unwrap_or_default();
    rest.iter().map_while(move |range| range.intersect(whole))
}

/// Adds `part` of `stored`, cut where its kind changes.
fn named(ranges: &[Range], part: PhysRange, stored: &StoredRange, regions: &mut Vec<Region>) {
    if let Some(kind) = stored.kind {
        regions.push(Region { range: part, kind });
        return;
    }
    let mut rest = Some(part);
    let first = ranges.partition_point(|range| range.addresses.end() <= part.start());
    for range in ranges.iter().skip(first) {
        let Some(current) = rest else {
            break;
        };
        let Some(both) = current.intersect(range.addresses) else {
            break;
        };
        let (before, _) = current.split_at(both.start());
        regions.extend(before.map(unnamed));
        regions.push(Region {
            range: both,
            kind: range.kind(),
        });
        rest = current.split_at(both.end()).1;
    }
    regions.extend(rest.map(unnamed));
}

/// System RAM, unless anything else is known: that is what most images contain.
const fn unnamed(range: PhysRange) -> Region {
    Region {
        range,
        kind: RegionKind::SystemRam,
    }
}
