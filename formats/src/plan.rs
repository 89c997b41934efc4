// SPDX-License-Identifier: MIT OR Apache-2.0
//! The plan of an image: which memory it will hold, known before the first byte
//! is read.

use crate::core_note::CoreNote;
use linpmem_kinfo::layout::Architecture;
use linpmem_kinfo::vmcoreinfo::Vmcoreinfo;
use linpmem_phys::{MemoryMap, PhysAddr, PhysLen, PhysRange, RegionKind};

/// The ranges that an image will hold, and what is known about the machine.
///
/// # Invariants
/// There is at least one range. Ranges are whole pages, ascending and disjoint.
#[derive(Clone, Debug)]
pub struct ImagePlan {
    ranges: Vec<PlannedRange>,
    machine: MachineFacts,
}

/// One range that an image will hold in full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlannedRange {
    /// The physical addresses; whole pages.
    pub range: PhysRange,
    /// What the kernel calls them in /proc/iomem.
    pub kind: RegionKind,
}

/// What an image says about the machine besides its memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MachineFacts {
    /// What kind of machine it is.
    pub architecture: Option<Architecture>,
    /// The kernel's VMCOREINFO text, exactly as in its note.
    pub vmcoreinfo: Option<Vec<u8>>,
    /// The virtual address at which the kernel maps physical address 0, or would: what the
    /// direct map adds to a physical address (`page_offset_base` of x86-64, `PAGE_OFFSET −
    /// PHYS_OFFSET` of arm64).
    pub direct_map_base: Option<u64>,
    /// Levels of the page tables: 4 or 5 on x86-64, 2 to 5 on arm64.
    pub paging_levels: Option<u32>,
    /// Further notes: the registers of the processors (`NT_PRSTATUS`), what QEMU knows of
    /// them, and others. Formats with room for notes keep them as they are.
    pub notes: Vec<CoreNote>,
}

/// A list of ranges that cannot be planned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// The list is empty.
    #[error("there is no memory range to acquire")]
    Empty,
    /// Two ranges share addresses, or are out of order.
    #[error("the ranges {upper} and {lower} overlap or are out of order")]
    Overlap {
        /// The range that comes first in the list.
        lower: PhysRange,
        /// The next one, which begins below the end of `lower`.
        upper: PhysRange,
    },
    /// A range begins or ends within a page.
    #[error("the range {0} does not begin and end on page boundaries")]
    PartialPage(PhysRange),
}

impl ImagePlan {
    /// Plans an image of `ranges`.
    ///
    /// # Errors
    /// If `ranges` is empty, a range has a partial page, or two ranges overlap or
    /// are out of order.
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

    /// What is known about the machine.
    #[must_use]
    pub fn machine(&self) -> &MachineFacts {
        &self.machine
    }

    /// Bytes of memory in all ranges together.
    #[must_use]
    pub fn total(&self) -> PhysLen {
        // Disjoint ranges of a 64-bit address space: the sum fits.
        let lengths = self.ranges.iter().map(|planned| planned.range.len().get());
        PhysLen::new(lengths.sum())
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
    /// The VMCOREINFO text, to look facts up in it.
    #[must_use]
    pub fn kernel(&self) -> Option<Vmcoreinfo<'_>> {
        self.vmcoreinfo.as_deref().map(Vmcoreinfo::new)
    }

    /// What kind of machine it is: as it is told, or by VMCOREINFO. `None` if neither says.
    #[must_use]
    pub fn known_architecture(&self) -> Option<Architecture> {
        let by_kernel = || self.kernel()?.architecture();
        self.architecture.or_else(by_kernel)
    }

    /// The same for formats that have to name one. Where nothing is known, it is the one
    /// that most images are of.
    pub(crate) fn named_architecture(&self) -> Architecture {
        self.known_architecture().unwrap_or(Architecture::X86_64)
    }

    /// The value of `key` in the VMCOREINFO text, whose lines are `key=value`, such
    /// as `OSRELEASE` or `NUMBER(phys_base)`. `None` if there is no text, no such
    /// line, or the value is not UTF-8.
    #[must_use]
    pub fn vmcoreinfo_value(&self, key: &str) -> Option<&str> {
        self.kernel()?.value(key)
    }
}

impl PlannedRange {
    /// Plans every region of `map`, widened to whole pages. A page that two regions
    /// share goes to the one that begins first, so that RAM that ends in a partial
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
