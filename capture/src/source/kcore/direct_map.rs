// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where physical memory is in /proc/kcore.
//!
//! The file is an ELF core of the kernel's address space (fs/proc/kcore.c). Its PT_LOAD
//! segments are the direct map of each range of RAM, and also the terabytes of vmalloc,
//! the array of page structures and the kernel's text, which are other mappings of the
//! same memory, or of none. Only the direct map is used.
//!
//! A segment of the direct map has its physical address in `p_paddr`, and the difference
//! from its virtual address is the same for all of them: the base of the direct map. The
//! others have −1 there; the text has its address, but begins at `__START_KERNEL_map`,
//! above the direct map. Kernels before 4.13 have 0 in all of them. Then the base is the
//! lowest segment's address, rounded down to the 1 GiB that KASLR moves it by, and
//! whatever would be past the end of RAM is not taken for RAM.

use goblin::elf::program_header::{PT_LOAD, ProgramHeader};
use linpmem_kinfo::layout::X86_64;
use linpmem_phys::{MemoryMap, PhysAddr, PhysLen, PhysRange};
use std::collections::BTreeMap;

/// The segments that contain RAM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::source) struct DirectMap {
    /// By address, disjoint.
    segments: Vec<Segment>,
    base: u64,
    is_base_inferred: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Segment {
    range: PhysRange,
    /// The offset of its first byte in the file.
    offset: u64,
}

/// No segment of the file is RAM.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("none of its {loads} segments is the direct map of what /proc/iomem lists as System RAM")]
pub(in crate::source) struct NoDirectMap {
    loads: usize,
}

impl DirectMap {
    /// The RAM in `map` among the segments with these `headers`.
    pub(super) fn of(headers: &[ProgramHeader], map: &MemoryMap) -> Result<Self, NoDirectMap> {
        let loads: Vec<&ProgramHeader> = headers
            .iter()
            .filter(|header| header.p_type == PT_LOAD && header.p_filesz > 0)
            .collect();
        let direct: Vec<&ProgramHeader> = loads
            .iter()
            .copied()
            .filter(|header| X86_64.may_be_direct_map(header.p_vaddr))
            .collect();
        let stated = stated_base(&direct);
        let base = stated
            .or_else(|| X86_64.inferred_direct_map(direct.iter().map(|header| header.p_vaddr)));
        let ram: Vec<PhysRange> = map.ram().filter_map(PhysRange::page_hull).collect();
        let end = ram.last().map_or(PhysAddr::ZERO, |range| range.end());

        let mut segments: Vec<Segment> = direct
            .iter()
            .filter_map(|header| {
                let start = header.p_vaddr.checked_sub(base?)?;
                let has_paddr = ![0, u64::MAX].contains(&header.p_paddr);
                if (stated.is_some() || has_paddr) && header.p_paddr != start {
                    return None;
                }
                let len = PhysLen::new(header.p_filesz);
                let range = PhysRange::from_len(PhysAddr::new(start), len).ok()?;
                let is_ram = ram.iter().any(|ram| ram.intersect(range).is_some());
                let is_plausible = stated.is_some() || range.end() <= end;
                (is_ram && is_plausible).then_some(Segment {
                    range,
                    offset: header.p_offset,
                })
            })
            .collect();
        segments.sort_unstable_by_key(|segment| segment.range);
        remove_overlaps(&mut segments);
        match base {
            Some(base) if !segments.is_empty() => Ok(Self {
                segments,
                base,
                is_base_inferred: stated.is_none(),
            }),
            _ => Err(NoDirectMap { loads: loads.len() }),
        }
    }

    /// The virtual address of physical address 0.
    pub(super) fn base(&self) -> u64 {
        self.base
    }

    /// Whether no segment has a physical address that states the base.
    pub(super) fn is_base_inferred(&self) -> bool {
        self.is_base_inferred
    }

    /// The first part of `range` that a segment contains, and its offset in the file.
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

/// The difference between virtual and physical address that most of the memory has.
fn stated_base(direct: &[&ProgramHeader]) -> Option<u64> {
    // 65,535 segments of 64-bit sizes fit.
    let mut votes: BTreeMap<u64, u128> = BTreeMap::new();
    for header in direct {
        if header.p_paddr == 0 || header.p_paddr == u64::MAX {
            continue;
        }
        if let Some(base) = header.p_vaddr.checked_sub(header.p_paddr) {
            *votes.entry(base).or_default() += u128::from(header.p_filesz);
        }
    }
    let most = votes.iter().max_by_key(|(_, bytes)| **bytes);
    most.map(|(&base, _)| base)
}

/// Removes what an earlier segment already contains.
fn remove_overlaps(segments: &mut Vec<Segment>) {
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
mod tests {
    use super::*;
    use linpmem_phys::{Region, RegionKind};

    const BASE: u64 = 0xffff_9a40_4000_0000;
    const DATA: u64 = 0x3000;

    fn load(vaddr: u64, paddr: u64, len: u64) -> ProgramHeader {
        ProgramHeader {
            p_type: PT_LOAD,
            p_vaddr: vaddr,
            p_paddr: paddr,
            // As on x86: the address within the upper half.
            p_offset: (vaddr & 0x7fff_ffff_ffff) + DATA,
            p_filesz: len,
            p_memsz: len,
            ..ProgramHeader::default()
        }
    }

    /// A machine with 2 GiB on both sides of a hole, as kernels with correct `p_paddr` list
    /// it.
    fn machine() -> Vec<ProgramHeader> {
        let direct = |paddr: u64, len| load(BASE + paddr, paddr, len);
        vec![
            ProgramHeader::default(),
            load(X86_64.image.start + 0x1c00_0000, 0x2c00_0000, 0x0300_0000),
            load(0xffff_b5c0_0000_0000, u64::MAX, 32 << 40),
            load(0xffff_ffff_c000_0000, u64::MAX, 0x3f00_0000),
            direct(0x1000, 0x9e000),
            load(0xffff_d600_0000_0000, u64::MAX, 1 << 20),
            direct(0x10_0000, 0x3fef_d000),
            direct(0x1_0000_0000, 0x4000_0000),
        ]
    }

    fn iomem() -> MemoryMap {
        let ram = |first, last| Region {
            range: PhysRange::from_inclusive(PhysAddr::new(first), PhysAddr::new(last)).unwrap(),
            kind: RegionKind::SystemRam,
        };
        MemoryMap::new([
            // Ends within a page, and the next one a byte before the segment's end.
            ram(0x1000, 0x9_fbff),
            ram(0x10_0000, 0x3fff_cfff),
            ram(0x1_0000_0000, 0x1_3fff_ffff),
        ])
        .unwrap()
    }

    fn found(direct_map: &DirectMap) -> Vec<(u64, u64)> {
        let segments = direct_map.segments.iter();
        segments
            .map(|segment| {
                let range = segment.range;
                assert_eq!(
                    segment.offset,
                    ((BASE + range.start().get()) & 0x7fff_ffff_ffff) + DATA
                );
                (range.start().get(), range.last().get())
            })
            .collect()
    }

    const RAM: [(u64, u64); 3] = [
        (0x1000, 0x9_efff),
        (0x10_0000, 0x3fff_cfff),
        (0x1_0000_0000, 0x1_3fff_ffff),
    ];

    #[test]
    fn only_the_direct_map_is_taken() {
        let direct_map = DirectMap::of(&machine(), &iomem()).unwrap();
        assert_eq!(direct_map.base(), BASE);
        assert!(!direct_map.is_base_inferred());
        assert_eq!(found(&direct_map), RAM);
    }

    #[test]
    fn without_physical_addresses_the_lowest_segment_states_the_base() {
        for nothing in [0, u64::MAX] {
            let mut headers = machine();
            for header in &mut headers {
                header.p_paddr = nothing;
            }
            let direct_map = DirectMap::of(&headers, &iomem()).unwrap();
            assert_eq!(direct_map.base(), BASE);
            assert!(direct_map.is_base_inferred());
            assert_eq!(found(&direct_map), RAM, "{nothing:#x}");
        }
    }

    #[test]
    fn a_segment_that_contradicts_the_others_is_left_out() {
        let mut headers = machine();
        headers[4].p_paddr = 0x20_0000;
        let direct_map = DirectMap::of(&headers, &iomem()).unwrap();
        assert_eq!(found(&direct_map), RAM[1..]);
    }

    #[test]
    fn what_two_segments_contain_is_taken_once() {
        let mut headers = machine();
        headers.push(load(BASE + 0x1000_0000, 0x1000_0000, 0x1000_0000));
        headers.push(load(BASE + 0x8_0000, 0x8_0000, 0x10_0000));
        let direct_map = DirectMap::of(&headers, &iomem()).unwrap();
        let mut next = 0;
        for (first, last) in found(&direct_map) {
            assert!(first >= next);
            next = last + 1;
        }
        let all = PhysRange::new(PhysAddr::new(0xf_0000), PhysAddr::new(0x20_0000)).unwrap();
        let (part, offset) = direct_map.first_within(all).unwrap();
        assert_eq!(part.start(), all.start());
        assert_eq!(offset, ((BASE + 0xf_0000) & 0x7fff_ffff_ffff) + DATA);
    }

    #[test]
    fn a_file_without_a_direct_map_is_refused() {
        assert!(DirectMap::of(&[], &iomem()).is_err());
        let others: Vec<_> = machine().drain(..4).collect();
        let error = DirectMap::of(&others, &iomem()).unwrap_err();
        assert!(error.to_string().contains("3 segments"), "{error}");
        // Lengths and addresses that no kernel's file has.
        for (vaddr, paddr, len) in [
            (BASE, 0x1000, u64::MAX),
            (u64::MAX, 1, 1),
            (BASE + 0x1000, BASE + 0x2000, 0x1000),
        ] {
            assert!(DirectMap::of(&[load(vaddr, paddr, len)], &iomem()).is_err());
        }
    }

    #[test]
    fn parts_are_found_by_address() {
        let direct_map = DirectMap::of(&machine(), &iomem()).unwrap();
        let range = |start, end| PhysRange::new(PhysAddr::new(start), PhysAddr::new(end)).unwrap();
        let at = |start, end| {
            direct_map
                .first_within(range(start, end))
                .map(|(part, _)| part)
        };
        assert_eq!(at(0, 0x2000), Some(range(0x1000, 0x2000)));
        assert_eq!(at(0x9_e000, 0x11_0000), Some(range(0x9_e000, 0x9_f000)));
        assert_eq!(at(0x9_f000, 0x10_0000), None);
        assert_eq!(at(0x2_0000_0000, 0x3_0000_0000), None);
    }
}
