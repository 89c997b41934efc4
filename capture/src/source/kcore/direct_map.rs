// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where physical memory is in /proc/kcore.
//!
//! The file is an ELF core of the kernel's address space (fs/proc/kcore.c). Its PT_LOAD
//! segments are the direct map of each range of RAM, and also the terabytes of vmalloc,
//! the array of page structures and the kernel's image, which are other mappings of the
//! same memory, or of none. Only the direct map is used, but for the kernel's data on arm64.
//!
//! A segment of the direct map has its physical address in `p_paddr`, and the difference
//! from its virtual address is the same for all of them: the base of the direct map. The
//! others have −1 there, and the image has its address, but another difference: on x86-64
//! it begins at `__START_KERNEL_map`, above the direct map, and on arm64 VMCOREINFO has the
//! difference (`kimage_voffset`). Kernels before 4.13 have 0 in all of them. Then, on
//! x86-64, the base is the lowest segment's address, rounded down to the 1 GiB that KASLR
//! moves it by, and whatever would be past the end of RAM is not taken for RAM.
//!
//! **Since Linux 7.3, the direct map of arm64 lacks the kernel's data and bss**
//! (mark_linear_data_alias_valid in arch/arm64/mm/mmu.c), and /proc/kcore has zeros there
//! without an error. So what /proc/iomem calls `Kernel data` is read from the image's
//! segment. It cannot replace the direct map in all of the image: between code and data lies
//! memory that was freed after the boot, which the image's mapping no longer has.

use super::headers::Headers;
use goblin::elf::program_header::{PT_LOAD, ProgramHeader};
use linpmem_kinfo::vmcoreinfo::Vmcoreinfo;
use linpmem_phys::{MemoryMap, PhysAddr, PhysLen, PhysRange};
use std::collections::BTreeMap;

/// The segments that contain RAM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::source) struct DirectMap {
    /// By address, disjoint.
    segments: Vec<Segment>,
    base: u64,
    is_base_inferred: bool,
    has_image_data: bool,
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
    /// The RAM in `map` among the segments of `headers`. `kernel_data` is where the kernel
    /// has its data and bss.
    pub(super) fn of(
        headers: &Headers,
        map: &MemoryMap,
        kernel_data: Option<PhysRange>,
    ) -> Result<Self, NoDirectMap> {
        let layout = headers.architecture.layout();
        let loads: Vec<&ProgramHeader> = headers
            .program
            .iter()
            .filter(|header| header.p_type == PT_LOAD && header.p_filesz > 0)
            .collect();
        let image = headers.kernel().and_then(Vmcoreinfo::kimage_voffset);
        let (images, direct): (Vec<&ProgramHeader>, Vec<&ProgramHeader>) = loads
            .iter()
            .copied()
            .filter(|header| layout.may_be_direct_map(header.p_vaddr))
            .partition(|header| image.is_some() && offset(header) == image);
        let ram: Vec<PhysRange> = map.ram().filter_map(PhysRange::page_hull).collect();
        let end = ram.last().map_or(PhysAddr::ZERO, |range| range.end());
        let stated = stated_base(&direct, &ram);
        let base = stated
            .or_else(|| layout.inferred_direct_map(direct.iter().map(|header| header.p_vaddr)));

        let mut segments: Vec<Segment> = direct
            .iter()
            .filter_map(|header| {
                let start = header.p_vaddr.checked_sub(base?)?;
                let has_paddr = ![0, u64::MAX].contains(&header.p_paddr);
                if (stated.is_some() || has_paddr) && header.p_paddr != start {
                    return None;
                }
                let segment = Segment::new(start, header)?;
                let is_ram = ram.iter().any(|ram| ram.intersect(segment.range).is_some());
                let is_plausible = stated.is_some() || segment.range.end() <= end;
                (is_ram && is_plausible).then_some(segment)
            })
            .collect();
        segments.sort_unstable_by_key(|segment| segment.range);
        remove_overlaps(&mut segments);
        let is_empty = segments.is_empty();
        let data: Vec<Segment> = images
            .iter()
            .filter_map(|header| Segment::new(header.p_paddr, header)?.whole_pages_of(kernel_data?))
            .take(1)
            .collect();
        replace(&mut segments, &data);
        match base {
            Some(base) if !is_empty => Ok(Self {
                segments,
                base,
                is_base_inferred: stated.is_none(),
                has_image_data: !data.is_empty(),
            }),
            _ => Err(NoDirectMap { loads: loads.len() }),
        }
    }

    /// The virtual address of physical address 0, if it were mapped: what the direct map adds
    /// to a physical address.
    pub(super) fn base(&self) -> u64 {
        self.base
    }

    /// Whether no segment has a physical address that states the base.
    pub(super) fn is_base_inferred(&self) -> bool {
        self.is_base_inferred
    }

    /// Whether the kernel's data is read from the mapping of the kernel's image.
    pub(super) fn has_image_data(&self) -> bool {
        self.has_image_data
    }

    /// The first part of `range` that a segment contains, and its offset in the file.
    pub(super) fn first_within(&self, range: PhysRange) -> Option<(PhysRange, u64)> {
        let index = self
            .segments
            .partition_point(|segment| segment.range.end() <= range.start());
        let part = self.segments.get(index)?.within(range)?;
        Some((part.range, part.offset))
    }
}

impl Segment {
    /// The memory of a segment, at `start`.
    fn new(start: u64, header: &ProgramHeader) -> Option<Self> {
        let len = PhysLen::new(header.p_filesz);
        Some(Self {
            range: PhysRange::from_len(PhysAddr::new(start), len).ok()?,
            offset: header.p_offset,
        })
    }

    /// The part in `range`.
    fn within(&self, range: PhysRange) -> Option<Self> {
        let range = self.range.intersect(range)?;
        let skipped = range.start().checked_sub(self.range.start())?;
        Some(Self {
            range,
            offset: self.offset.checked_add(skipped.get())?,
        })
    }

    /// The whole pages of it that `range` touches.
    fn whole_pages_of(&self, range: PhysRange) -> Option<Self> {
        let common = self.range.intersect(range.page_hull()?)?;
        self.within(common.whole_pages()?)
    }
}

/// What the virtual address has more than the physical one that the header states.
fn offset(header: &ProgramHeader) -> Option<u64> {
    let is_stated = header.p_paddr != u64::MAX;
    header
        .p_vaddr
        .checked_sub(header.p_paddr)
        .filter(|_| is_stated)
}

/// The difference between virtual and physical address that most of the memory has. Where
/// RAM begins at 0, that is an address, too; but old kernels have it in segments of terabytes
/// that have none.
fn stated_base(direct: &[&ProgramHeader], ram: &[PhysRange]) -> Option<u64> {
    // 65,535 segments of 64-bit sizes fit.
    let mut votes: BTreeMap<u64, u128> = BTreeMap::new();
    for header in direct {
        let is_ram = || {
            let segment = Segment::new(header.p_paddr, header);
            segment.is_some_and(|segment| ram.iter().any(|ram| ram.covers(segment.range)))
        };
        if header.p_paddr != 0 || is_ram() {
            if let Some(base) = offset(header) {
                *votes.entry(base).or_default() += u128::from(header.p_filesz);
            }
        }
    }
    let most = votes.iter().max_by_key(|(_, bytes)| **bytes);
    most.map(|(&base, _)| base)
}

/// Puts `others`, sorted and disjoint, in the place of what `segments` have there.
fn replace(segments: &mut Vec<Segment>, others: &[Segment]) {
    for other in others {
        let rest = segments.iter().flat_map(|segment| {
            let (before, above) = segment.range.split_at(other.range.start());
            let after = above.and_then(|above| above.split_at(other.range.end()).1);
            [before, after].map(|part| segment.within(part?))
        });
        let mut replaced: Vec<Segment> = rest.flatten().chain([*other]).collect();
        replaced.sort_unstable_by_key(|segment| segment.range);
        *segments = replaced;
    }
}

/// Removes what an earlier segment already contains.
fn remove_overlaps(segments: &mut Vec<Segment>) {
    let mut next = PhysAddr::ZERO;
    let cut = |segment: &Segment| {
        let range = segment.range.split_at(next).1?;
        next = range.end();
        segment.within(range)
    };
    *segments = segments.iter().filter_map(cut).collect();
}

#[cfg(test)]
mod tests {
    use super::*;
    use linpmem_kinfo::layout::Architecture;
    use linpmem_kinfo::layout::x86_64::START_KERNEL_MAP;
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
            load(START_KERNEL_MAP + 0x1c00_0000, 0x2c00_0000, 0x0300_0000),
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

    fn of(program: &[ProgramHeader]) -> Result<DirectMap, NoDirectMap> {
        let headers = Headers {
            architecture: Architecture::X86_64,
            segments: 0,
            program: program.to_vec(),
            vmcoreinfo: None,
        };
        DirectMap::of(&headers, &iomem(), None)
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
        let direct_map = of(&machine()).unwrap();
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
            let direct_map = of(&headers).unwrap();
            assert_eq!(direct_map.base(), BASE);
            assert!(direct_map.is_base_inferred());
            assert_eq!(found(&direct_map), RAM, "{nothing:#x}");
        }
    }

    #[test]
    fn a_segment_that_contradicts_the_others_is_left_out() {
        let mut headers = machine();
        headers[4].p_paddr = 0x20_0000;
        let direct_map = of(&headers).unwrap();
        assert_eq!(found(&direct_map), RAM[1..]);
    }

    #[test]
    fn what_two_segments_contain_is_taken_once() {
        let mut headers = machine();
        headers.push(load(BASE + 0x1000_0000, 0x1000_0000, 0x1000_0000));
        headers.push(load(BASE + 0x8_0000, 0x8_0000, 0x10_0000));
        let direct_map = of(&headers).unwrap();
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
        assert!(of(&[]).is_err());
        let others: Vec<_> = machine().drain(..4).collect();
        let error = of(&others).unwrap_err();
        assert!(error.to_string().contains("3 segments"), "{error}");
        // Lengths and addresses that no kernel's file has.
        for (vaddr, paddr, len) in [
            (BASE, 0x1000, u64::MAX),
            (u64::MAX, 1, 1),
            (BASE + 0x1000, BASE + 0x2000, 0x1000),
        ] {
            assert!(of(&[load(vaddr, paddr, len)]).is_err());
        }
    }

    #[test]
    fn parts_are_found_by_address() {
        let direct_map = of(&machine()).unwrap();
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
