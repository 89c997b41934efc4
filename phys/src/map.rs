// SPDX-License-Identifier: MIT OR Apache-2.0
//! The map of physical addresses: which range is RAM, firmware or a device.

use crate::{PhysAddr, PhysLen, PhysRange};
use std::fmt;

/// What the kernel says about a range. The names are those of /proc/iomem
/// (`e820_type_to_string` in arch/x86/kernel/e820.c).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum RegionKind {
    /// Ordinary memory that the kernel manages.
    SystemRam,
    /// RAM that shares its page with something else, where the kernel does not use such
    /// pages and the source does not have them.
    PartialPage,
    /// Reserved by the firmware, or by `memmap=` on the kernel command line.
    Reserved,
    /// ACPI tables.
    AcpiTables,
    /// ACPI's non-volatile storage.
    AcpiNonVolatile,
    /// Memory set aside for a special purpose (EFI_MEMORY_SP).
    SoftReserved,
    /// Memory that keeps its content without power.
    PersistentMemory,
    /// Memory that the firmware reports as faulty.
    Unusable,
    /// System, video and adapter ROMs.
    Rom,
    /// Anything else with an owner: buses, PCI windows, registers.
    Device,
    /// Addresses that no entry claims.
    Hole,
}

/// A range of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// The addresses.
    pub range: PhysRange,
    /// What they are.
    pub kind: RegionKind,
}

/// Regions of physical memory.
///
/// # Invariants
/// Sorted by address and disjoint; two regions that touch differ in kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryMap {
    regions: Vec<Region>,
}

/// Two regions that claim the same addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OverlapError {
    /// The region that begins first.
    pub lower: Region,
    /// The region that begins inside it.
    pub upper: Region,
}

impl MemoryMap {
    /// The map of these regions, in any order. Adjacent regions of one kind are merged.
    ///
    /// # Errors
    /// If two overlap.
    pub fn new(regions: impl IntoIterator<Item = Region>) -> Result<Self, OverlapError> {
        let mut sorted: Vec<Region> = regions.into_iter().collect();
        sorted.sort_by_key(|region| region.range);
        let mut merged: Vec<Region> = Vec::with_capacity(sorted.len());
        for upper in sorted {
            if let Some(lower) = merged.last_mut() {
                if upper.range.start() < lower.range.end() {
                    return Err(OverlapError {
                        lower: *lower,
                        upper,
                    });
                }
                if lower.range.end() == upper.range.start() && lower.kind == upper.kind {
                    if let Ok(joined) = PhysRange::new(lower.range.start(), upper.range.end()) {
                        lower.range = joined;
                        continue;
                    }
                }
            }
            merged.push(upper);
        }
        Ok(Self { regions: merged })
    }

    /// The regions, by address.
    #[must_use]
    pub fn regions(&self) -> &[Region] {
        &self.regions
    }

    /// Whether the map has no regions.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.regions.is_empty()
    }

    /// The address after the last region.
    #[must_use]
    pub fn end(&self) -> Option<PhysAddr> {
        self.regions.last().map(|region| region.range.end())
    }

    /// The region that contains `addr`.
    #[must_use]
    pub fn at(&self, addr: PhysAddr) -> Option<Region> {
        let after = self
            .regions
            .partition_point(|region| region.range.start() <= addr);
        let candidate = self.regions.get(after.checked_sub(1)?)?;
        candidate.range.contains(addr).then_some(*candidate)
    }

    /// The ranges of System RAM, by address.
    pub fn ram(&self) -> impl Iterator<Item = PhysRange> + '_ {
        let regions = self.regions.iter();
        regions
            .filter(|region| region.kind.is_ram())
            .map(|region| region.range)
    }

    /// The regions for which `keep` holds, as a map of their own.
    #[must_use]
    pub fn filter(&self, mut keep: impl FnMut(&Region) -> bool) -> Self {
        Self {
            regions: self
                .regions
                .iter()
                .filter(|region| keep(region))
                .copied()
                .collect(),
        }
    }

    /// The part of the map inside `window`.
    #[must_use]
    pub fn clip(&self, window: PhysRange) -> Self {
        let regions = self.regions.iter().filter_map(|region| {
            let range = region.range.intersect(window)?;
            Some(Region { range, ..*region })
        });
        Self {
            regions: regions.collect(),
        }
    }

    /// The map with each gap below `end` as a [`RegionKind::Hole`].
    #[must_use]
    pub fn with_holes(&self, end: PhysAddr) -> Self {
        let mut regions = Vec::with_capacity(self.regions.len());
        let mut next = PhysAddr::ZERO;
        for region in &self.regions {
            regions.extend(hole(next, region.range.start().min(end)));
            regions.push(*region);
            next = region.range.end();
        }
        regions.extend(hole(next, end));
        Self { regions }
    }

    /// The map with System RAM in whole pages of `page` bytes. What is left at its ends becomes a
    /// [`RegionKind::PartialPage`].
    #[must_use]
    pub fn with_partial_pages_apart(&self, page: PhysLen) -> Self {
        let regions = self.regions.iter().flat_map(|region| {
            if !region.kind.is_ram() {
                return [Some(*region), None, None];
            }
            let part = |range: Option<PhysRange>, kind| range.map(|range| Region { range, kind });
            let Some(whole) = region.range.whole_multiples(page) else {
                return [
                    part(Some(region.range), RegionKind::PartialPage),
                    None,
                    None,
                ];
            };
            [
                part(
                    region.range.split_at(whole.start()).0,
                    RegionKind::PartialPage,
                ),
                part(Some(whole), region.kind),
                part(
                    region.range.split_at(whole.end()).1,
                    RegionKind::PartialPage,
                ),
            ]
        });
        Self {
            regions: regions.flatten().collect(),
        }
    }

    /// The sum of the regions' lengths.
    #[must_use]
    pub fn total(&self) -> PhysLen {
        // Disjoint ranges below 2^64 cannot add up to more than 2^64 − 1.
        let lengths = self.regions.iter().map(|region| region.range.len().get());
        PhysLen::new(lengths.sum())
    }
}

fn hole(start: PhysAddr, end: PhysAddr) -> Option<Region> {
    let range = PhysRange::new(start, end).ok()?;
    Some(Region {
        range,
        kind: RegionKind::Hole,
    })
}

impl RegionKind {
    /// Every kind.
    pub const ALL: [Self; 11] = [
        Self::SystemRam,
        Self::PartialPage,
        Self::Reserved,
        Self::AcpiTables,
        Self::AcpiNonVolatile,
        Self::SoftReserved,
        Self::PersistentMemory,
        Self::Unusable,
        Self::Rom,
        Self::Device,
        Self::Hole,
    ];

    /// Whether this is System RAM.
    #[must_use]
    pub const fn is_ram(self) -> bool {
        matches!(self, Self::SystemRam)
    }

    /// Whether firmware or the kernel keeps this in ordinary memory or ROM, which
    /// can be read safely. Device registers are not firmware, since reading them can
    /// hang the machine; nor is memory that the firmware reports as faulty, which raises
    /// machine checks; nor persistent memory, which is a disk.
    #[must_use]
    pub const fn is_firmware(self) -> bool {
        matches!(
            self,
            Self::Reserved
                | Self::AcpiTables
                | Self::AcpiNonVolatile
                | Self::SoftReserved
                | Self::Rom
        )
    }

    /// The kind whose [`name`](Self::name) is `name`, or else that of the /proc/iomem
    /// entry with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Self {
        let named = Self::ALL.into_iter().find(|kind| kind.name() == name);
        named.unwrap_or_else(|| Self::from_iomem_name(name))
    }

    /// The kind of the /proc/iomem entry called `name`. RAM that a driver added
    /// is called `System RAM (virtio_mem)` and the like.
    #[must_use]
    pub fn from_iomem_name(name: &str) -> Self {
        match name {
            "Reserved" | "reserved" => Self::Reserved,
            "ACPI Tables" => Self::AcpiTables,
            "ACPI Non-volatile Storage" => Self::AcpiNonVolatile,
            "Soft Reserved" => Self::SoftReserved,
            "Unusable memory" => Self::Unusable,
            "System ROM" | "Video ROM" | "Adapter ROM" => Self::Rom,
            _ if name == "System RAM" || name.starts_with("System RAM (") => Self::SystemRam,
            _ if name.starts_with("Persistent Memory") => Self::PersistentMemory,
            _ => Self::Device,
        }
    }

    /// The name in /proc/iomem, in manifests and in tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SystemRam => "System RAM",
            Self::PartialPage => "Partial page",
            Self::Reserved => "Reserved",
            Self::AcpiTables => "ACPI Tables",
            Self::AcpiNonVolatile => "ACPI Non-volatile Storage",
            Self::SoftReserved => "Soft Reserved",
            Self::PersistentMemory => "Persistent Memory",
            Self::Unusable => "Unusable memory",
            Self::Rom => "ROM",
            Self::Device => "Device",
            Self::Hole => "Hole",
        }
    }
}

impl fmt::Display for RegionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl fmt::Display for OverlapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} ({}) overlaps {} ({})",
            self.upper.range, self.upper.kind, self.lower.range, self.lower.kind
        )
    }
}

impl std::error::Error for OverlapError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(start: u64, end: u64, kind: RegionKind) -> Region {
        let range = PhysRange::new(PhysAddr::new(start), PhysAddr::new(end)).unwrap();
        Region { range, kind }
    }

    fn pc() -> MemoryMap {
        MemoryMap::new([
            region(0x10_0000, 0x4000_0000, RegionKind::SystemRam),
            region(0x9_fc00, 0xa_0000, RegionKind::Reserved),
            region(0x1000, 0x9_0000, RegionKind::SystemRam),
            region(0x9_0000, 0x9_fc00, RegionKind::SystemRam),
        ])
        .unwrap()
    }

    #[test]
    fn is_sorted_and_merges_neighbours_of_one_kind_only() {
        let map = pc();
        assert_eq!(map.regions().len(), 3);
        assert_eq!(
            map.regions()[0],
            region(0x1000, 0x9_fc00, RegionKind::SystemRam)
        );
        assert_eq!(map.total().get(), 0x9_f000 + 0x3ff0_0000);
    }

    #[test]
    fn ram_is_given_by_address() {
        let starts: Vec<u64> = pc().ram().map(|range| range.start().get()).collect();
        assert_eq!(starts, [0x1000, 0x10_0000]);
    }

    #[test]
    fn partial_pages_are_what_is_left_of_ram_in_whole_pages() {
        let map = MemoryMap::new([
            region(0x1000, 0x9_fc00, RegionKind::SystemRam),
            region(0x9_fc00, 0xa_0000, RegionKind::Reserved),
            region(0x10_0800, 0x11_0000, RegionKind::SystemRam),
            region(0x20_0100, 0x20_0200, RegionKind::SystemRam),
        ]);
        assert_eq!(
            map.unwrap()
                .with_partial_pages_apart(crate::PAGE_SIZE)
                .regions(),
            [
                region(0x1000, 0x9_f000, RegionKind::SystemRam),
                region(0x9_f000, 0x9_fc00, RegionKind::PartialPage),
                region(0x9_fc00, 0xa_0000, RegionKind::Reserved),
                region(0x10_0800, 0x10_1000, RegionKind::PartialPage),
                region(0x10_1000, 0x11_0000, RegionKind::SystemRam),
                region(0x20_0100, 0x20_0200, RegionKind::PartialPage),
            ]
        );
    }

    #[test]
    fn larger_pages_leave_more_of_ram_apart() {
        let kind = RegionKind::SystemRam;
        let map = MemoryMap::new([region(0x4000_1000, 0x4002_3000, kind)]).unwrap();
        assert_eq!(
            map.with_partial_pages_apart(PhysLen::new(0x1_0000))
                .regions(),
            [
                region(0x4000_1000, 0x4001_0000, RegionKind::PartialPage),
                region(0x4001_0000, 0x4002_0000, kind),
                region(0x4002_0000, 0x4002_3000, RegionKind::PartialPage),
            ]
        );
    }

    #[test]
    fn refuses_overlap_and_names_both() {
        let error = MemoryMap::new([
            region(0x1000, 0x3000, RegionKind::SystemRam),
            region(0x2000, 0x4000, RegionKind::Reserved),
        ])
        .unwrap_err();
        assert_eq!(
            error.to_string(),
            "0x2000-0x3fff (Reserved) overlaps 0x1000-0x2fff (System RAM)"
        );
    }

    #[test]
    fn finds_the_region_of_an_address() {
        let map = pc();
        assert_eq!(map.at(PhysAddr::new(0xfff)), None);
        assert_eq!(
            map.at(PhysAddr::new(0x9_ffff)).unwrap().kind,
            RegionKind::Reserved
        );
        assert_eq!(map.at(PhysAddr::new(0xa_0000)), None);
        assert_eq!(
            map.at(PhysAddr::new(0x3fff_ffff)).unwrap().kind,
            RegionKind::SystemRam
        );
        assert_eq!(map.at(PhysAddr::new(0x4000_0000)), None);
    }

    #[test]
    fn holes_fill_exactly_what_no_region_claims() {
        let full = pc().with_holes(PhysAddr::new(0x5000_0000));
        let mut next = PhysAddr::ZERO;
        for part in full.regions() {
            assert_eq!(part.range.start(), next);
            next = part.range.end();
        }
        assert_eq!(next, PhysAddr::new(0x5000_0000));
        assert_eq!(
            full.at(PhysAddr::new(0xb_8000)).unwrap().kind,
            RegionKind::Hole
        );
        let low = pc().with_holes(PhysAddr::new(0x1000));
        assert_eq!(low.regions()[0], region(0, 0x1000, RegionKind::Hole));
        assert_eq!(low.regions().len(), 4);
    }

    #[test]
    fn names_of_kinds_are_read_back() {
        for kind in RegionKind::ALL {
            assert_eq!(RegionKind::from_name(kind.name()), kind);
        }
        assert_eq!(RegionKind::from_name("Video ROM"), RegionKind::Rom);
        assert_eq!(RegionKind::from_name("PCI Bus 0000:00"), RegionKind::Device);
    }

    #[test]
    fn registers_faulty_memory_and_disks_are_not_firmware() {
        let firmware = RegionKind::ALL
            .into_iter()
            .filter(|kind| kind.is_firmware());
        assert_eq!(
            firmware.collect::<Vec<_>>(),
            [
                RegionKind::Reserved,
                RegionKind::AcpiTables,
                RegionKind::AcpiNonVolatile,
                RegionKind::SoftReserved,
                RegionKind::Rom,
            ]
        );
        let ram = RegionKind::ALL.into_iter().filter(|kind| kind.is_ram());
        assert_eq!(ram.collect::<Vec<_>>(), [RegionKind::SystemRam]);
    }

    #[test]
    fn names_of_ram_that_drivers_add_are_ram() {
        assert_eq!(
            RegionKind::from_iomem_name("System RAM (virtio_mem)"),
            RegionKind::SystemRam
        );
        assert_eq!(
            RegionKind::from_iomem_name("System RAMdisk"),
            RegionKind::Device
        );
        assert_eq!(
            RegionKind::from_iomem_name("Persistent Memory (legacy)"),
            RegionKind::PersistentMemory
        );
    }
}
