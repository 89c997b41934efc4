// SPDX-License-Identifier: MIT OR Apache-2.0
//! Segments without a physical address, and where they are nevertheless.
//!
//! A copy of /proc/kcore has one PT_LOAD for each range of RAM, in the kernel's direct map,
//! and others for vmalloc, the array of page structures, the modules and the kernel's text
//! (fs/proc/kcore.c). Linux before 4.13 writes 0 as the physical address of all of them. The
//! direct map is the lowest of these mappings, so its base follows from the lowest segment.
//! The size of vmalloc is a byte short of a whole page, and nothing above it is the direct map.

use super::Error;
use super::headers::Load;
use linpmem_kinfo::layout::Layout;
use linpmem_phys::{PAGE_SIZE, PhysAddr, PhysLen, PhysRange};

/// A segment that says nothing about its physical address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unplaced {
    pub(super) vaddr: u64,
    pub(super) offset: u64,
    pub(super) stored: u64,
    pub(super) memsz: u64,
}

/// The segments of memory, with the addresses that follow from those in the direct map.
#[derive(Debug)]
pub(super) struct Inferred {
    pub(super) loads: Vec<Load>,
    /// The virtual address of physical address 0.
    pub(super) base: u64,
    /// How many segments are other mappings.
    pub(super) others: usize,
}

/// How far the direct map reaches with four levels of page tables
/// (Documentation/arch/x86/x86_64/mm.rst). The kernels whose segments have no physical
/// address have no more levels.
const LARGEST_DIRECT_MAP: u64 = 64 << 40;

impl Inferred {
    /// The addresses of the segments, unless `loads`, those with an address, are at the one
    /// that they state. `unplaced` are those without.
    ///
    /// # Errors
    /// If no segment states its address, and none is in the direct map, or the kernels of
    /// `layout` do not tell by it where the memory is.
    pub(super) fn of(
        loads: &[Load],
        unplaced: &[Unplaced],
        layout: &Layout,
    ) -> Result<Option<Self>, Error> {
        let mut stated = loads.iter().filter(|load| load.stored.get() > 0);
        if stated.any(|load| load.range.start() != PhysAddr::ZERO) {
            return Ok(None);
        }
        let at_zero = || loads.iter().filter(|load| load.stored.get() > 0);
        let segments: Vec<Unplaced> = at_zero()
            .map(|load| Unplaced {
                vaddr: load.vaddr,
                offset: load.offset,
                stored: load.stored.get(),
                memsz: load.range.len().get(),
            })
            .chain(unplaced.iter().copied())
            .filter(|segment| segment.stored > 0)
            .collect();
        if segments.is_empty() {
            return Ok(None);
        }
        let may_be_direct = |segment: &&Unplaced| layout.may_be_direct_map(segment.vaddr);
        let mut direct: Vec<Unplaced> = segments.iter().filter(may_be_direct).copied().collect();
        // 0 is an address as well, if that is where they can be.
        let mut offsets = at_zero().map(|load| load.offset);
        let first = offsets.next();
        let is_one_place = first.is_some_and(|first| offsets.all(|offset| offset == first));
        let can_begin_there = |segment: &Unplaced| {
            let within = layout.direct_map_align.map(|align| segment.vaddr % align);
            within.is_none_or(|within| within == 0)
        };
        if is_one_place && direct.iter().all(can_begin_there) {
            return Ok(None);
        }
        let none = Error::NoAddresses {
            segments: segments.len(),
        };
        let addresses = direct.iter().map(|segment| segment.vaddr);
        let Some(base) = layout.inferred_direct_map(addresses) else {
            return Err(none);
        };
        direct.sort_unstable_by_key(|segment| segment.vaddr);
        let placed: Vec<Load> = direct
            .iter()
            .map_while(|segment| segment.at(base))
            .collect();
        match placed.is_empty() {
            true => Err(none),
            false => Ok(Some(Self {
                others: segments.len() - placed.len(),
                loads: placed,
                base,
            })),
        }
    }
}

impl Unplaced {
    /// The segment at its place in the direct map that begins at `base`; `None` if it
    /// belongs to another mapping.
    fn at(&self, base: u64) -> Option<Load> {
        let is_whole = |bytes: u64| bytes % PAGE_SIZE.get() == 0;
        let start = PhysAddr::new(self.vaddr.checked_sub(base)?);
        let range = PhysRange::from_len(start, PhysLen::new(self.memsz)).ok()?;
        let is_direct = is_whole(self.vaddr)
            && is_whole(self.memsz)
            && range.end() <= PhysAddr::new(LARGEST_DIRECT_MAP);
        is_direct.then_some(Load {
            range,
            vaddr: self.vaddr,
            offset: self.offset,
            stored: PhysLen::new(self.stored),
        })
    }
}
