// SPDX-License-Identifier: MIT OR Apache-2.0
//! What an image is to hold, known before the first byte is read.

use linpmem_phys::{MemoryMap, PhysAddr, PhysLen, PhysRange, RegionKind};

/// The ranges of an image and what is known of the machine.
///
/// # Invariants
/// Ranges are whole pages, ascending and disjoint.
#[derive(Clone, Debug)]
pub struct ImagePlan {
    ranges: Vec<PlannedRange>,
    machine: MachineFacts,
}

/// One range that an image will hold in full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlannedRange {
    /// Whole pages.
    pub range: PhysRange,
    /// What the kernel calls it.
    pub kind: RegionKind,
}

/// What an image tells of the machine beside its memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MachineFacts {
    /// The kernel's VMCOREINFO text, as it stands in its note.
    pub vmcoreinfo: Option<Vec<u8>>,
    /// The virtual address at which physical address 0 is mapped
    /// (`page_offset_base`).
    pub direct_map_base: Option<u64>,
    /// 4 or 5.
    pub paging_levels: Option<u32>,
}

/// Ranges that make no image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// Nothing to read.
    #[error("there is no range to read")]
    Empty,
    /// Two ranges share addresses.
    #[error("{upper} overlaps {lower}")]
    Overlap {
        /// The range that begins first.
        lower: PhysRange,
        /// The one that begins within it, or before it.
        upper: PhysRange,
    },
    /// A range with half a page.
    #[error("{0} does not begin and end at page borders")]
    PartialPage(PhysRange),
}

impl ImagePlan {
    /// An image of `ranges`.
    ///
    /// # Errors
    /// If there is none, or one has half a page, or two are out of order or overlap.
    pub fn new(ranges: Vec<PlannedRange>, machine: MachineFacts) -> Result<Self, PlanError> {
        if ranges.is_empty() {
            return Err(PlanError::Empty);
        }
        let mut lower: Option<PhysRange> = None;
        for planned in &ranges {
            let range = planned.range;
            if !range.start().is_page_aligned() || !range.end().is_page_aligned() {
                return Err(PlanError::PartialPage(range));
            }
            if let Some(lower) = lower.filter(|lower| range.start() < lower.end()) {
                return Err(PlanError::Overlap {
                    lower,
                    upper: range,
                });
            }
            lower = Some(range);
        }
        Ok(Self { ranges, machine })
    }

    /// The ranges, by address.
    #[must_use]
    pub fn ranges(&self) -> &[PlannedRange] {
        &self.ranges
    }

    /// What is known of the machine.
    #[must_use]
    pub fn machine(&self) -> &MachineFacts {
        &self.machine
    }

    /// The sum of the ranges' lengths.
    #[must_use]
    pub fn total(&self) -> PhysLen {
        PhysLen::new(self.ranges.iter().fold(0, |sum: u64, planned| {
            sum.saturating_add(planned.range.len().get())
        }))
    }

    /// The address after the last range.
    #[must_use]
    pub fn end(&self) -> PhysAddr {
        self.ranges
            .last()
            .map_or(PhysAddr::ZERO, |planned| planned.range.end())
    }
}

impl MachineFacts {
    /// The paging levels that the kernel tells of itself
    /// (arch_crash_save_vmcoreinfo in arch/x86/kernel/vmcore_info_64.c).
    pub(crate) fn told_paging_levels(&self) -> Option<u32> {
        match self.vmcoreinfo_value("NUMBER(pgtable_l5_enabled)")? {
            "0" => Some(4),
            "1" => Some(5),
            _ => None,
        }
    }

    /// What stands behind `key` and `=` on a line of the VMCOREINFO text, as in
    /// `OSRELEASE` or `NUMBER(phys_base)`.
    #[must_use]
    pub fn vmcoreinfo_value(&self, key: &str) -> Option<&str> {
        let text = self.vmcoreinfo.as_deref()?;
        text.split(|&byte| byte == b'\n').find_map(|line| {
            let value = line.strip_prefix(key.as_bytes())?.strip_prefix(b"=")?;
            std::str::from_utf8(value).ok()
        })
    }
}

impl PlannedRange {
    /// Each region of `map`, widened to whole pages. A page that two regions
    /// share goes to the one that begins first, so that RAM with a partial last
    /// page keeps that page.
    #[must_use]
    pub fn from_map(map: &MemoryMap) -> Vec<Self> {
        let mut ranges: Vec<Self> = Vec::with_capacity(map.regions().len());
        for region in map.regions() {
            let Some(hull) = region.range.page_hull() else {
                continue;
            };
            let taken = ranges
                .last()
                .map_or(PhysAddr::ZERO, |last| last.range.end());
            let (_, rest) = hull.split_at(taken);
            if let Some(range) = rest {
                ranges.push(Self {
                    range,
                    kind: region.kind,
                });
            }
        }
        ranges
    }
}
