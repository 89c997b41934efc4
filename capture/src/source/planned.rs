// SPDX-License-Identifier: MIT OR Apache-2.0
//! The ranges that a run planned to write, as the beginning of its manifest lists them.

use linpmem_formats::{Format, ImageReader};
use linpmem_manifest::Beginning;
use linpmem_phys::{Content, PhysAddr, PhysRange, RegionKind};

/// A range that was planned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Planned {
    pub(super) range: PhysRange,
    pub(super) kind: RegionKind,
}

/// What the run planned to write: the ranges that it began, and then the rest of the map.
pub(super) fn planned(beginning: &Beginning) -> Vec<Planned> {
    let mut planned: Vec<Planned> = beginning
        .ranges
        .iter()
        .map(|range| Planned {
            range: range.addresses,
            kind: range.kind,
        })
        .collect();
    let mut end = planned
        .last()
        .map_or(PhysAddr::ZERO, |last| last.range.end());
    for entry in beginning.header.map.iter().filter(|entry| entry.requested) {
        let (first, last) = (PhysAddr::new(entry.start.0), PhysAddr::new(entry.last.0));
        let whole = PhysRange::from_inclusive(first, last).ok();
        let hull = whole.and_then(PhysRange::page_hull);
        if let Some(range) = hull.and_then(|hull| hull.split_at(end).1) {
            end = range.end();
            planned.push(Planned {
                range,
                kind: RegionKind::from_name(&entry.kind),
            });
        }
    }
    planned
}

/// Whether the manifest that begins like this can be that of `image`.
pub(super) fn is_of(beginning: &Beginning, image: &dyn ImageReader) -> bool {
    let format = match image.format() {
        Format::Elf => "elf",
        Format::Raw(_) => "raw",
        Format::Lime => "lime",
        Format::Avml => "avml",
        Format::Kdump | Format::Flattened => "kdump",
        Format::Aff4 => "aff4",
        _ => return false,
    };
    if beginning.header.image.format != format {
        return false;
    }
    let planned = planned(beginning);
    let is_planned = |range: PhysRange| {
        let first = planned.partition_point(|known| known.range.end() <= range.start());
        let known = planned.iter().skip(first);
        let mut rest = Some(range);
        for known in known {
            let Some(left) = rest else { break };
            if known.range.start() > left.start() {
                return false;
            }
            rest = left.split_at(known.range.end()).1;
        }
        rest.is_none()
    };
    let held = image.ranges().iter();
    held.filter(|stored| stored.content == Content::Data)
        .all(|stored| is_planned(stored.range))
}
