// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which part of a machine's memory is read.

#[cfg(test)]
mod tests;

use crate::pages::Pages;
use linpmem_formats::PlannedRange;
use linpmem_phys::{MemoryMap, PhysAddr, PhysLen, PhysRange, Region, RegionKind};

/// The memory that the user wants. System RAM is always included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Reserved memory and that of firmware as well: see [`Selection::wants`].
    pub include_reserved: bool,
    /// Addresses that no entry of the map contains, as well.
    pub include_holes: bool,
    /// Only what is in these ranges, if there are any.
    pub windows: Vec<PhysRange>,
    /// Memory of every kind: for images, which cannot be harmed.
    pub everything: bool,
}

/// Which parts of the map are read, and which are not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selected {
    /// Whole pages, by address.
    pub read: Vec<PlannedRange>,
    /// The rest of the map, to the byte, by address.
    pub left_out: Vec<Region>,
}

/// A part of the map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its addresses.
    pub range: PhysRange,
    /// The kind of memory.
    pub kind: RegionKind,
    /// Whether it is read.
    pub is_read: bool,
}

/// The selection is empty.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "nothing to read: there is no {kinds} in {place}{}; `linpmem-dump ranges` shows the \
     map of this machine, and `linpmem-dump info IMAGE` that of an image",
    if *.has_partial_page {
        " (a page there is only partly RAM, and the source does not have such pages)"
    } else {
        ""
    }
)]
pub struct NothingSelected {
    kinds: &'static str,
    place: String,
    has_partial_page: bool,
}

impl Selection {
    /// Whether memory of `kind` is wanted.
    ///
    /// Reserved means what firmware or the kernel keeps in ordinary memory or ROM
    /// ([`RegionKind::is_firmware`]). Nothing else is read but System RAM and holes:
    /// reading device registers can hang the machine, memory that the firmware reports as
    /// faulty raises machine checks, and persistent memory is a disk.
    #[must_use]
    pub const fn wants(&self, kind: RegionKind) -> bool {
        match kind {
            RegionKind::SystemRam => true,
            kind if kind.is_firmware() => self.include_reserved || self.everything,
            RegionKind::Hole => self.include_holes || self.everything,
            _ => self.everything,
        }
    }

    /// Applies the selection to `map`.
    ///
    /// Ranges are widened to whole pages. A page that is partly System RAM is read as
    /// System RAM. Any other page is left out if it also contains what must never be read,
    /// such as a device's registers.
    ///
    /// # Errors
    /// If the selection is empty.
    pub fn apply(&self, map: &MemoryMap) -> Result<Selected, NothingSelected> {
        let windows = Pages::touched_by(self.windows.iter().copied());
        // An image has no holes that could be read.
        let map = if self.everything {
            map.clone()
        } else {
            map.with_holes(windows.end().unwrap_or_else(|| end_of_ram(map)))
        };
        let pages_of = |wanted: &dyn Fn(RegionKind) -> bool| {
            Pages::touched_by(
                map.regions()
                    .iter()
                    .filter(|region| wanted(region.kind))
                    .map(|region| region.range),
            )
        };
        let ram = pages_of(&|kind| kind.is_ram());
        // A wanted page may also contain what is not wanted, but not what must never be
        // read.
        let forbidden = pages_of(&|kind| {
            let is_harmless = kind.is_ram() || kind.is_firmware() || kind == RegionKind::Hole;
            !is_harmless && !self.everything
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
            if region.kind.is_ram() || !self.wants(region.kind) {
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
                for range in forbidden.outside(outside_ram) {
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
            return Err(self.nothing(&map));
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

    /// The parts of pages that would have been read, but are only partly RAM, and that
    /// the source does not have.
    #[must_use]
    pub fn partial_pages(&self, selected: &Selected) -> Vec<PhysRange> {
        let regions = selected.left_out.iter();
        regions
            .filter(|region| region.kind == RegionKind::PartialPage)
            .map(|region| region.range)
            .filter(|range| {
                let mut windows = self.windows.iter();
                self.windows.is_empty() || windows.any(|window| window.intersect(*range).is_some())
            })
            .collect()
    }

    fn nothing(&self, map: &MemoryMap) -> NothingSelected {
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
            has_partial_page: map.regions().iter().any(|region| {
                let mut windows = self.windows.iter();
                region.kind == RegionKind::PartialPage
                    && windows.any(|window| window.intersect(region.range).is_some())
            }),
        }
    }
}

impl Selected {
    /// The parts of the map, by address.
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

    /// Bytes that are read.
    #[must_use]
    pub fn total(&self) -> PhysLen {
        // Disjoint ranges: the sum of their lengths fits.
        let lengths = self.read.iter().map(|planned| planned.range.len().get());
        PhysLen::new(lengths.sum())
    }
}

fn end_of_ram(map: &MemoryMap) -> PhysAddr {
    map.ram().last().map_or(PhysAddr::ZERO, PhysRange::end)
}
