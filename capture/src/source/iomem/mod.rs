// SPDX-License-Identifier: MIT OR Apache-2.0
//! /proc/iomem as a memory map: the one place that knows how the kernel nests its
//! resources.
//!
//! What an address is follows from all the entries that contain it, from the outermost
//! to the innermost:
//!
//! 1. if one of them is System RAM, it is System RAM, whatever the kernel put inside
//!    (its own code and data, a crash kernel, a `Reserved` entry), and whatever RAM was
//!    put inside of (virtio-mem and kmem devices);
//! 2. else, if one of them is a device, it is that device's: `Reserved` often contains
//!    or is contained in PCI MMCONFIG, HPET and pnp ranges, and reading a device's
//!    registers can hang a machine;
//! 3. else it is what the innermost entry says;
//! 4. but `Reserved` just below 1 TiB is a device: on AMD processors these 12 GiB of
//!    addresses are messages to the processor's fabric (interrupts, configuration), not
//!    memory.
//!
//! The module goes by the same rules ([`linpmem_core::resource`]).

#[cfg(test)]
mod tests;

use linpmem_core::resource::{self, Entry, FABRIC_FIRST, FABRIC_LAST};
use linpmem_kinfo::iomem;
use linpmem_phys::{MemoryMap, OverlapError, PhysAddr, PhysRange, Region, RegionKind};
use std::io;

pub use linpmem_kinfo::iomem::{IomemError as IomemTextError, PATH};

/// The name of the kernel's data and bss (arch/arm64/kernel/setup.c,
/// arch/x86/kernel/setup.c; x86 has the bss apart, as `Kernel bss`).
const KERNEL_DATA: &str = "Kernel data";

/// The map, and the text that it was made from.
#[derive(Clone, Debug)]
pub struct Iomem {
    /// The text.
    pub text: String,
    /// The map.
    pub map: MemoryMap,
    /// The kernel's data and bss (`Kernel data`), if it is listed.
    pub kernel_data: Option<PhysRange>,
    /// Lines that were skipped.
    pub warnings: Vec<String>,
}

/// /proc/iomem gives no memory map.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IomemError {
    /// The file could not be read.
    #[error("reading {PATH}: {0} (is /proc mounted?)")]
    Read(#[from] io::Error),
    /// The kernel hides the addresses.
    #[error(transparent)]
    Text(#[from] IomemTextError),
    /// It has no lines at all, which no kernel's has.
    #[error(
        "{PATH} is empty, as if it were masked, as containers do it: run outside of the container"
    )]
    Empty,
    /// There is no memory to acquire.
    #[error("{PATH} lists no System RAM")]
    NoRam,
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
        // A driver may give an entry a name that is not UTF-8.
        let text = std::fs::read(PATH)?;
        Self::parse(String::from_utf8_lossy(&text).into_owned())
    }

    /// The map that `text` describes.
    ///
    /// # Errors
    /// If its addresses are hidden, or it lists no RAM.
    pub fn parse(text: String) -> Result<Self, IomemError> {
        if text.trim().is_empty() {
            return Err(IomemError::Empty);
        }
        let mut flat = Flattening::default();
        let listing = iomem::parse(text.as_bytes())?;
        let kernel_data = listing
            .entries
            .iter()
            .find(|entry| entry.name == KERNEL_DATA)
            .map(|entry| entry.range);
        for entry in listing.entries {
            flat.enter(entry.depth, entry.range, entry.kind());
        }
        let map = MemoryMap::new(flat.finish().into_iter().flat_map(without_fabric))?;
        if map.ram().next().is_none() {
            return Err(IomemError::NoRam);
        }
        Ok(Self {
            warnings: listing.odd.iter().map(ToString::to_string).collect(),
            text,
            map,
            kernel_data,
        })
    }
}

/// A walk through the entries in the order of the file, parents before children.
#[derive(Default)]
struct Flattening {
    /// The entries that contain the current position, outermost first.
    open: Vec<OpenEntry>,
    /// Where the next piece outside of all entries may begin.
    next: PhysAddr,
    regions: Vec<Region>,
}

struct OpenEntry {
    depth: usize,
    end: PhysAddr,
    /// Its addresses below this one are in `regions` already.
    next: PhysAddr,
    /// What an address in it, and in no deeper entry, is.
    kind: RegionKind,
}

impl Flattening {
    fn enter(&mut self, depth: usize, range: PhysRange, own: RegionKind) {
        while self.open.last().is_some_and(|entry| entry.depth >= depth) {
            self.leave();
        }
        // The kernel keeps entries within their parents and after their siblings. A
        // text that does not is cut to that shape.
        let (from, to, kind) = match self.open.last() {
            Some(parent) => (parent.next, parent.end, kind_within(parent.kind, own)),
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
        self.open.push(OpenEntry {
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

/// Rules 1 to 3 for an entry of kind `own` within one that makes its addresses `outer`.
fn kind_within(outer: RegionKind, own: RegionKind) -> RegionKind {
    match resource::both(entry(outer), entry(own)) {
        Entry::Ram => RegionKind::SystemRam,
        Entry::Device => RegionKind::Device,
        Entry::Firmware => own,
    }
}

const fn entry(kind: RegionKind) -> Entry {
    match kind {
        RegionKind::SystemRam => Entry::Ram,
        RegionKind::Device => Entry::Device,
        _ => Entry::Firmware,
    }
}

/// Rule 4.
fn without_fabric(region: Region) -> impl Iterator<Item = Region> {
    let [first, last] = [FABRIC_FIRST, FABRIC_LAST].map(PhysAddr::new);
    let fabric = PhysRange::from_inclusive(first, last)
        .ok()
        .filter(|_| region.kind == RegionKind::Reserved)
        .and_then(|fabric| region.range.intersect(fabric));
    let parts = match fabric {
        None => [Some(region), None, None],
        Some(fabric) => {
            let part = |range, kind| Region { range, kind };
            let reserved = |range: Option<PhysRange>| range.map(|range| part(range, region.kind));
            [
                reserved(region.range.split_at(fabric.start()).0),
                Some(part(fabric, RegionKind::Device)),
                reserved(region.range.split_at(fabric.end()).1),
            ]
        }
    };
    parts.into_iter().flatten()
}
