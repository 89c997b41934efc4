// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where physical memory lies in /proc/kcore.
//!
//! The file is an ELF core of the kernel's address space (fs/proc/kcore.c). Its
//! PT_LOAD segments are the direct map of each range of RAM, and beside them
//! vmalloc's terabytes, the array of page structures and the kernel's text, which
//! are other names of the same memory, or of none. Only the direct map is used.
//!
//! A segment of the direct map tells its physical address in `p_paddr`, and the
//! difference to its virtual address is the same for all of them: the base of the
//! direct map. The others say −1; the text tells its address, but lies above
//! `__START_KERNEL_map`. Kernels before 4.13 say 0 throughout: then the base is
//! the lowest segment's, down to the 1 GiB border that KASLR moves it by, and
//! what would lie behind the end of RAM is not taken for RAM.

use goblin::elf::program_header::{PT_LOAD, ProgramHeader};
use linpmem_phys::{MemoryMap, PhysAddr, PhysLen, PhysRange, RegionKind};
use std::collections::BTreeMap;

/// The upper half of the addresses, with 5 levels of page tables; with 4 it
/// begins higher.
const KERNEL_HALF: u64 = 0xff00_0000_0000_0000;
/// `__START_KERNEL_map` of arch/x86/include/asm/page_64_types.h: the kernel's
/// text and its modules, the same with 4 and 5 levels.
const KERNEL_TEXT: u64 = 0xffff_ffff_8000_0000;
/// KASLR moves the direct map by multiples of this (arch/x86/mm/kaslr.c).
const BASE_ALIGN: u64 = 1 << 30;

/// Physical memory in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::source) struct Layout {
    /// By address, disjoint.
    segments: Vec<Segment>,
    direct_map_base: u64,
    is_base_inferred: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Segment {
    range: PhysRange,
    /// Where its first byte lies in the file.
    offset: u64,
}

/// Nothing in the file can be taken for RAM.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("none of its {loads} segments is the direct map of System RAM as /proc/iomem tells it")]
pub(in crate::source) struct NoDirectMap {
    loads: usize,
}

impl Layout {
    /// What `headers` tell of the RAM in `map`.
    pub(super) fn of(headers: &[ProgramHeader], map: &MemoryMap) -> Result<Self, NoDirectMap> {
        let loads: Vec<&ProgramHeader> = headers
            .iter()
            .filter(|header| header.p_type == PT_LOAD && header.p_filesz > 0)
            .collect();
        let direct: Vec<&ProgramHeader> = loads
            .iter()
            .copied()
            .filter(|header| (KERNEL_HALF..KERNEL_TEXT).contains(&header.p_vaddr))
            .collect();
        let told = told_base(&direct);
        let base = told.or_else(|| inferred_base(&direct));
        let ram: Vec<PhysRange> = map
            .regions()
            .iter()
            .filter(|region| region.kind == RegionKind::SystemRam)
            .filter_map(|region| region.range.page_hull())
            .collect();
        let end = ram.last().map_or(PhysAddr::ZERO, |range| range.end());

        let mut segments: Vec<Segment> = direct
            .iter()
            .filter_map(|header| {
                let start = header.p_vaddr.checked_sub(base?)?;
                let tells = ![0, u64::MAX].contains(&header.p_paddr);
                if (told.is_some() || tells) && header.p_paddr != start {
                    return None;
                }
                let len = PhysLen::new(header.p_filesz);
                let range = PhysRange::from_len(PhysAddr::new(start), len).ok()?;
                let is_ram = ram.iter().any(|ram| ram.intersect(range).is_some());
                let is_believable = told.is_some() || range.end() <= end;
                (is_ram && is_believable).then_some(Segment {
                    range,
                    offset: header.p_offset,
                })
            })
            .collect();
        segments.sort_unstable_by_key(|segment| segment.range);
        disentangle(&mut segments);
        match base {
            Some(direct_map_base) if !segments.is_empty() => Ok(Self {
                segments,
                direct_map_base,
                is_base_inferred: told.is_none(),
            }),
            _ => Err(NoDirectMap { loads: loads.len() }),
        }
    }

    /// The virtual address of physical address 0.
    pub(super) fn direct_map_base(&self) -> u64 {
        self.direct_map_base
    }

    /// Whether no segment told the base.
    pub(super) fn is_base_inferred(&self) -> bool {
        self.is_base_inferred
    }

    /// The part of `range` that comes first in the file's segments, and where its
    /// first byte lies.
    pub(super) fn first_within(&self, range: PhysRange) -> Option<(PhysRange, u64)> {
        let index = self
            .segments
            .partition_point(|segment| segment.range.end() <= range.start());
        let segment = self.segments.get(index)?;
        let part = segment.range.intersect(range)?;
        let skipped = part.start().checked_sub(segment.range.start())?;
        Some((part, segment.offset.checked_add(skipped.get())?))
    }
}

/// The difference that most of the memory agrees on.
fn told_base(direct: &[&ProgramHeader]) -> Option<u64> {
    let mut votes: BTreeMap<u64, u64> = BTreeMap::new();
    for header in direct {
        if header.p_paddr == 0 || header.p_paddr == u64::MAX {
            continue;
        }
        if let Some(base) = header.p_vaddr.checked_sub(header.p_paddr) {
            let bytes = votes.entry(base).or_default();
            *bytes = bytes.saturating_add(header.p_filesz);
        }
    }
    let most = votes.iter().max_by_key(|(_, bytes)| **bytes);
    most.map(|(&base, _)| base)
}

/// RAM begins in the first GiB on every machine, and the direct map is the lowest
/// of the kernel's regions.
fn inferred_base(direct: &[&ProgramHeader]) -> Option<u64> {
    let lowest = direct.iter().map(|header| header.p_vaddr).min()?;
    Some(lowest - lowest % BASE_ALIGN)
}

/// Cuts what an earlier segment holds already.
fn disentangle(segments: &mut Vec<Segment>) {
    let mut next = PhysAddr::ZERO;
    let cut = |segment: &Segment| {
        let range = segment.range.split_at(next).1?;
        next = range.end();
        let skipped = range.start().checked_sub(segment.range.start())?;
        Some(Segment {
            range,
            offset: segment.offset.checked_add(skipped.get())?,
        })
    };
    *segments = segments.iter().filter_map(cut).collect();
}

#[cfg(test)]
mod tests;
