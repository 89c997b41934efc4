// SPDX-License-Identifier: MIT OR Apache-2.0
//! What an image has of a machine's map, with what its manifest remembers: most
//! formats hold no kinds, and some leave out pages that could not be read.

use linpmem_formats::{ImageReader, StoredRange};
use linpmem_manifest::{Manifest, RangeRecord};
use linpmem_phys::{Content, PhysAddr, PhysRange, Region, RegionKind};

/// The regions that `image` has, by address. Pages that it has not, but that
/// `manifest` lists as unreadable, are among them.
pub(super) fn regions(image: &dyn ImageReader, manifest: Option<&Manifest>) -> Vec<Region> {
    let records = manifest.map_or(&[][..], |manifest| &manifest.ranges);
    let mut ranges: Vec<&RangeRecord> = records.iter().collect();
    ranges.sort_by_key(|record| record.start.0);
    let unreadable = unreadable(&ranges);
    let mut regions = Vec::new();
    for stored in image.ranges() {
        match stored.content {
            Content::Skipped { .. } => {
                for part in within(&unreadable, stored.range) {
                    named(&ranges, part, stored, &mut regions);
                }
            }
            _ => named(&ranges, stored.range, stored, &mut regions),
        }
    }
    regions
}

fn unreadable(ranges: &[&RangeRecord]) -> Vec<PhysRange> {
    let records = ranges.iter().flat_map(|range| &range.unreadable);
    let mut unreadable: Vec<PhysRange> = records
        .filter_map(|record| {
            let (first, last) = (record.start.0, record.last.0);
            PhysRange::from_inclusive(PhysAddr::new(first), PhysAddr::new(last)).ok()
        })
        .collect();
    unreadable.sort_unstable();
    unreadable
}

/// The parts of `sorted` in `whole`.
fn within(sorted: &[PhysRange], whole: PhysRange) -> impl Iterator<Item = PhysRange> + '_ {
    let first = sorted.partition_point(|range| range.end() <= whole.start());
    let rest = sorted.get(first..).unwrap_or_default();
    rest.iter().map_while(move |range| range.intersect(whole))
}

/// Adds `part` of `stored`, cut where its kind changes.
fn named(
    ranges: &[&RangeRecord],
    part: PhysRange,
    stored: &StoredRange,
    regions: &mut Vec<Region>,
) {
    if let Some(kind) = stored.kind {
        regions.push(Region { range: part, kind });
        return;
    }
    let mut rest = Some(part);
    let first = ranges.partition_point(|record| {
        record
            .range()
            .is_none_or(|range| range.end() <= part.start())
    });
    for record in ranges.iter().skip(first) {
        let Some((current, known)) = rest.zip(record.range()) else {
            break;
        };
        let Some(both) = current.intersect(known) else {
            break;
        };
        let (before, _) = current.split_at(both.start());
        regions.extend(before.map(unnamed));
        regions.push(Region {
            range: both,
            kind: record.region_kind(),
        });
        rest = current.split_at(both.end()).1;
    }
    regions.extend(rest.map(unnamed));
}

/// Who dumps memory dumps System RAM, if nothing else is said.
const fn unnamed(range: PhysRange) -> Region {
    Region {
        range,
        kind: RegionKind::SystemRam,
    }
}
