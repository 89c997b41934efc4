// SPDX-License-Identifier: MIT OR Apache-2.0
//! /proc/iomem as a memory map: the one place that knows how the kernel nests
//! its resources.
//!
//! Lines are parsed by procfs, which keeps the depth of each. What an address is
//! follows from all the entries it lies in, from the outermost to the innermost:
//!
//! 1. if one of them is System RAM, it is System RAM, whatever the kernel put
//!    inside (its own code and data, a crash kernel, a `Reserved` stretch), and
//!    whatever RAM was put inside of (virtio-mem and kmem devices);
//! 2. else, if one of them is a device, it is that device's: `Reserved` is often
//!    said around or within PCI MMCONFIG, HPET and pnp ranges, and reading a
//!    device's registers can hang a machine;
//! 3. else it is what the innermost says;
//! 4. but `Reserved` just below 1 TiB is a device: on AMD processors those
//!    addresses are messages to the processor's fabric (interrupts, configuration),
//!    12 GiB of them, and no memory.

use linpmem_phys::{MemoryMap, OverlapError, PhysAddr, PhysRange, Region, RegionKind};
use procfs::FromBufRead;
use std::io;
use std::path::Path;

/// Where the kernel tells.
pub const PATH: &str = "/proc/iomem";

/// The addresses that rule 4 speaks of, the last one included: `HT_RANGE_START`
/// and `HT_RANGE_END` of drivers/iommu/amd/amd_iommu_types.h.
const AMD_FABRIC: (PhysAddr, PhysAddr) =
    (PhysAddr::new(0xfd_0000_0000), PhysAddr::new(0xff_ffff_ffff));

/// The map, and the text that it was made from.
#[derive(Clone, Debug)]
pub struct Iomem {
    /// As read.
    pub text: String,
    /// What the text says.
    pub map: MemoryMap,
}

/// No map could be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IomemError {
    /// The file could not be read.
    #[error("reading {PATH}: {0} (is /proc mounted?)")]
    Read(#[from] io::Error),
    /// A line that is not `START-END : NAME`.
    #[error("{PATH} is not as the kernel writes it: {0}")]
    Parse(procfs::ProcError),
    /// The kernel hides the addresses.
    #[error(
        "{PATH} shows every address as 0, as it does to readers without CAP_SYS_ADMIN: \
         run as root (`sudo linpmem-dump …`), in a container with that capability"
    )]
    Hidden,
    /// There is no memory to acquire.
    #[error("{PATH} lists no System RAM")]
    NoRam,
    /// An entry that ends before it begins.
    #[error("{PATH} has an entry that ends before it begins: {first:#x}-{last:#x} : {name}")]
    Inverted {
        /// Its first address.
        first: u64,
        /// Its last address.
        last: u64,
        /// Its name.
        name: String,
    },
    /// Two entries claim the same addresses.
    #[error("{PATH} contradicts itself: {0}")]
    Overlap(#[from] OverlapError),
}

impl Iomem {
    /// The running kernel's map.
    ///
    /// # Errors
    /// If it cannot be read, or the kernel hides the addresses.
    pub fn read() -> Result<Self, IomemError> {
        Self::parse(std::fs::read_to_string(Path::new(PATH))?)
    }

    /// The map that `text` describes.
    ///
    /// # Errors
    /// If the text is malformed, its addresses are hidden, or it lists no RAM.
    pub fn parse(text: String) -> Result<Self, IomemError> {
        let entries = procfs::Iomem::from_buf_read(text.as_bytes())
            .map_err(IomemError::Parse)?
            .0;
        if !entries.is_empty() && entries.iter().all(|(_, entry)| entry.address == (0, 0)) {
            return Err(IomemError::Hidden);
        }
        let mut flat = Flattening::default();
        for (depth, entry) in &entries {
            let (first, last) = entry.address;
            // The kernel prints a resource of no bytes with its end below its start.
            if last.checked_add(1) == Some(first) {
                continue;
            }
            // No range holds the address 2^64 - 1; nor does any machine.
            let range = PhysRange::from_inclusive(
                PhysAddr::new(first),
                PhysAddr::new(last.min(u64::MAX - 1)),
            )
            .map_err(|_| IomemError::Inverted {
                first,
                last,
                name: entry.name.clone(),
            })?;
            flat.enter(*depth, range, RegionKind::from_iomem_name(&entry.name));
        }
        let map = MemoryMap::new(flat.finish().into_iter().flat_map(without_fabric))?;
        let has_ram = map
            .regions()
            .iter()
            .any(|region| region.kind == RegionKind::SystemRam);
        if !has_ram {
            return Err(IomemError::NoRam);
        }
        Ok(Self { text, map })
    }
}

/// A walk through the entries in the order of the file, parents before children.
#[derive(Default)]
struct Flattening {
    /// The entries that the walk is inside of, outermost first.
    open: Vec<Entry>,
    /// Where the next piece outside of all entries may begin.
    next: PhysAddr,
    regions: Vec<Region>,
}

struct Entry {
    depth: usize,
    end: PhysAddr,
    /// What of it was not handed out yet begins here.
    next: PhysAddr,
    /// What an address in it, and in nothing deeper, is.
    kind: RegionKind,
}

impl Flattening {
    fn enter(&mut self, depth: usize, range: PhysRange, own: RegionKind) {
        while self.open.last().is_some_and(|entry| entry.depth >= depth) {
            self.leave();
        }
        // Entries stay within their parents and behind their siblings; the
        // kernel's tree is so, and a text that is not gets cut to it.
        let (from, to, kind) = match self.open.last() {
            Some(parent) => (parent.next, parent.end, within(parent.kind, own)),
            None => (self.next, PhysAddr::new(u64::MAX), own),
        };
        let start = range.start().max(from).min(to);
        let end = range.end().min(to).max(start);
        if let Some(parent) = self.open.last_mut() {
            let (parent_next, parent_kind) = (parent.next, parent.kind);
            parent.next = end;
            self.emit(parent_next, start, parent_kind);
        } else {
            self.next = end;
        }
        self.open.push(Entry {
            depth,
            end,
            next: start,
            kind,
        });
    }

    fn leave(&mut self) {
        if let Some(entry) = self.open.pop() {
            self.emit(entry.next, entry.end, entry.kind);
        }
    }

    fn emit(&mut self, start: PhysAddr, end: PhysAddr, kind: RegionKind) {
        if let Ok(range) = PhysRange::new(start, end) {
            self.regions.push(Region { range, kind });
        }
    }

    fn finish(mut self) -> Vec<Region> {
        while !self.open.is_empty() {
            self.leave();
        }
        self.regions
    }
}

/// Rule 4.
fn without_fabric(region: Region) -> impl Iterator<Item = Region> {
    let (first, last) = AMD_FABRIC;
    let fabric = PhysRange::from_inclusive(first, last)
        .ok()
        .filter(|_| region.kind == RegionKind::Reserved)
        .and_then(|fabric| region.range.intersect(fabric));
    let parts = match fabric {
        None => [Some(region), None, None],
        Some(fabric) => {
            let part = |range, kind| Region { range, kind };
            [
                region
                    .range
                    .split_at(fabric.start())
                    .0
                    .map(|range| part(range, region.kind)),
                Some(part(fabric, RegionKind::Device)),
                region
                    .range
                    .split_at(fabric.end())
                    .1
                    .map(|range| part(range, region.kind)),
            ]
        }
    };
    parts.into_iter().flatten()
}

/// What an address is whose surroundings make it `outer`, in an entry of kind `own`.
fn within(outer: RegionKind, own: RegionKind) -> RegionKind {
    match (outer, own) {
        (RegionKind::SystemRam, _) | (_, RegionKind::SystemRam) => RegionKind::SystemRam,
        (RegionKind::Device, _) | (_, RegionKind::Device) => RegionKind::Device,
        (_, own) => own,
    }
}

#[cfg(test)]
mod tests;
