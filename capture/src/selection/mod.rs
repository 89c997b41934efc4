// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which of a machine's memory is read.

use crate::pages::Pages;
use linpmem_formats::PlannedRange;
use linpmem_phys::{MemoryMap, PhysAddr, PhysLen, PhysRange, Region, RegionKind};

/// What was asked for. System RAM always is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Firmware's and reserved memory as well: see [`Selection::wants`].
    pub include_reserved: bool,
    /// What no entry claims, as well.
    pub include_holes: bool,
    /// Only these, if there are any.
    pub windows: Vec<PhysRange>,
    /// Every kind there is: of an image, which cannot be harmed.
    pub everything: bool,
}

/// What will be read, and what will not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selected {
    /// Whole pages, by address.
    pub read: Vec<PlannedRange>,
    /// The rest of the map, to the byte, by address.
    pub left_out: Vec<Region>,
}

/// A stretch of the map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Where it lies.
    pub range: PhysRange,
    /// What it is.
    pub kind: RegionKind,
    /// Whether it will be read.
    pub is_read: bool,
}

/// Nothing is left to read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("nothing to read: no {kinds} lies in {place}; `linpmem-dump ranges` shows the map")]
pub struct NothingSelected {
    kinds: &'static str,
    place: String,
}

impl Selection {
    /// Whether memory of `kind` was asked for.
    ///
    /// Reserved means what firmware and kernel keep in ordinary memory or ROM.
    /// Device registers, memory that the firmware calls broken and persistent
    /// memory are never read: the first can hang the machine, the second raises
    /// machine checks, the third is a disk.
    #[must_use]
    pub const fn wants(&self, kind: RegionKind) -> bool {
        match kind {
            RegionKind::SystemRam => true,
            RegionKind::Reserved
            | RegionKind::AcpiTables
            | RegionKind::AcpiNonVolatile
            | RegionKind::SoftReserved
            | RegionKind::Rom => self.include_reserved || self.everything,
            RegionKind::Hole => self.include_holes || self.everything,
            _ => self.everything,
        }
    }

    /// Applies the selection to `map`.
    ///
    /// Ranges are widened to whole pages. A page that System RAM shares with
    /// something else is read as System RAM; of the others, a page that also
    /// holds what was not asked for (a device's registers) is left out.
    ///
    /// # Errors
    /// If nothing remains.
    pub fn apply(&self, map: &MemoryMap) -> Result<Selected, NothingSelected> {
        let windows = Pages::touched_by(self.windows.iter().copied());
        // What an image has not cannot be asked of it.
        let map = if self.everything {
            map.clone()
        } else {
            map.with_holes(windows.end().unwrap_or_else(|| end_of_ram(map)))
        };
        let of = |wanted: &dyn Fn(RegionKind) -> bool| {
            Pages::touched_by(
                map.regions()
                    .iter()
                    .filter(|region| wanted(region.kind))
                    .map(|region| region.range),
            )
        };
        let ram = of(&|kind| kind == RegionKind::SystemRam);
        // Nobody asked to keep holes and reserved memory apart from one another;
        // what must stay untouched is what may never be read.
        let untouchable = of(&|kind| {
            !Self {
                include_reserved: true,
                include_holes: true,
                windows: Vec::new(),
                everything: self.everything,
            }
            .wants(kind)
        });

        let mut pages: Vec<PlannedRange> = ram
            .ranges()
            .iter()
            .map(|&range| PlannedRange {
                range,
                kind: RegionKind::SystemRam,
            })
            .collect();
        let mut taken = PhysAddr::ZERO;
        for region in map.regions() {
            if region.kind == RegionKind::SystemRam || !self.wants(region.kind) {
                continue;
            }
            let Some(hull) = region.range.page_hull() else {
                continue;
            };
            let Some(hull) = hull.split_at(taken).1 else {
                continue;
            };
            taken = hull.end();
            for outside_ram in ram.outside(hull) {
                for range in untouchable.outside(outside_ram) {
                    pages.push(PlannedRange {
                        range,
                        kind: region.kind,
                    });
                }
            }
        }
        pages.sort_unstable_by_key(|planned| planned.range);

        let read: Vec<PlannedRange> = if windows.is_empty() {
            pages
        } else {
            pages
                .iter()
                .flat_map(|planned| {
                    windows
                        .within(planned.range)
                        .map(|range| PlannedRange { range, ..*planned })
                })
                .collect()
        };
        if read.is_empty() {
            return Err(self.nothing());
        }
        let covered = Pages::touched_by(read.iter().map(|planned| planned.range));
        let left_out = map
            .regions()
            .iter()
            .flat_map(|region| {
                covered
                    .outside(region.range)
                    .into_iter()
                    .map(|range| Region { range, ..*region })
            })
            .collect();
        Ok(Selected { read, left_out })
    }

    fn nothing(&self) -> NothingSelected {
        let place = if self.windows.is_empty() {
            "the memory map".to_owned()
        } else {
            let windows: Vec<String> = self.windows.iter().map(ToString::to_string).collect();
            windows.join(", ")
        };
        NothingSelected {
            kinds: match (self.include_reserved, self.include_holes) {
                _ if self.everything => "memory",
                (false, false) => "System RAM",
                (true, false) => "System RAM or reserved memory",
                (false, true) => "System RAM or hole",
                (true, true) => "System RAM, reserved memory or hole",
            },
            place,
        }
    }
}

impl Selected {
    /// The map as it was cut, by address.
    #[must_use]
    pub fn parts(&self) -> Vec<Part> {
        let read = self.read.iter().map(|planned| Part {
            range: planned.range,
            kind: planned.kind,
            is_read: true,
        });
        let left_out = self.left_out.iter().map(|region| Part {
            range: region.range,
            kind: region.kind,
            is_read: false,
        });
        let mut parts: Vec<Part> = read.chain(left_out).collect();
        parts.sort_unstable_by_key(|part| part.range);
        parts
    }

    /// Bytes that will be read.
    #[must_use]
    pub fn total(&self) -> PhysLen {
        PhysLen::new(self.read.iter().fold(0, |sum: u64, planned| {
            sum.saturating_add(planned.range.len().get())
        }))
    }
}

fn end_of_ram(map: &MemoryMap) -> PhysAddr {
    map.regions()
        .iter()
        .rev()
        .find(|region| region.kind == RegionKind::SystemRam)
        .map_or(PhysAddr::ZERO, |region| region.range.end())
}

#[cfg(test)]
mod tests;
