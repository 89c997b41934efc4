// SPDX-License-Identifier: MIT OR Apache-2.0
//! /dev/mem (drivers/char/mem.c): reserved memory and that of firmware, and System RAM
//! if the kernel was built without `CONFIG_STRICT_DEVMEM`.
//!
//! With that option the kernel refuses System RAM above 1 MiB, and returns zeros for
//! System RAM below it. These zeros are not the memory's content, so no page of RAM is
//! read then. A page that is only partly RAM is never read: the kernel would map it as
//! a device and warn. Addresses that no entry of /proc/iomem contains are not read
//! either: they may be a device's registers.

use super::page_flags::{self, PageFlags};
use super::self_test;
use crate::pages::Pages;
use crate::read_target::{ReadTarget, fill, fill_except};
use linpmem_phys::{
    Errno, MemoryMap, PhysAddr, PhysRange, ReadPhys, RegionKind, SourceError, Unreadables,
};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// The device node.
pub(super) const PATH: &str = "/dev/mem";

/// The errno for pages that this source never reads.
const NOT_HERE: Errno = Errno::EOPNOTSUPP;
/// The errno for RAM that the kernel does not let this source read.
const NOT_PERMITTED: Errno = Errno::EPERM;

/// /dev/mem, open.
#[derive(Debug)]
pub(super) struct DevMem {
    file: File,
    flags: PageFlags,
    /// Whole pages of RAM.
    ram: Pages,
    /// Pages that contain nothing but reserved memory and that of firmware.
    firmware: Pages,
    reads_ram: bool,
}

impl DevMem {
    pub(super) fn open() -> io::Result<File> {
        File::open(PATH)
    }

    /// Memory through `file`, the device, on a machine with this `map`. Finds out
    /// whether it can read RAM.
    pub(super) fn new(file: File, map: &MemoryMap) -> Self {
        let kinds = |keep: &dyn Fn(RegionKind) -> bool| {
            let regions = map.regions().iter().filter(|region| keep(region.kind));
            Pages::touched_by(regions.map(|region| region.range))
        };
        let others = kinds(&|kind| !kind.is_firmware());
        let firmware = kinds(&|kind| kind.is_firmware());
        let unmixed = firmware
            .ranges()
            .iter()
            .flat_map(|&range| others.outside(range));
        let mut own = Self {
            file,
            flags: PageFlags::open(map.ram()),
            ram: Pages::touched_by(map.ram().filter_map(PhysRange::whole_pages)),
            firmware: Pages::touched_by(unmixed),
            reads_ram: true,
        };
        own.reads_ram = self_test::run(&own).is_ok();
        own
    }

    /// Whether System RAM could be read in a test.
    pub(super) fn reads_ram(&self) -> bool {
        self.reads_ram
    }

    /// What the user should know if this source serves the RAM in `map`.
    pub(super) fn warnings(&self, map: &MemoryMap) -> Vec<String> {
        self.flags.warnings(map, page_flags::READ_LIKE_OTHERS)
    }

    /// Tries whether any page of reserved memory or of firmware can be read.
    pub(super) fn reads_firmware(&self) -> bool {
        let starts = self.firmware.ranges().iter().map(|range| range.start());
        let mut page = [0; 4096];
        starts
            .map(|start| self.file.read_at(&mut page, start.get()))
            .any(|read| read.is_ok_and(|count| count > 0))
    }

    fn read_part(&self, target: ReadTarget<'_>, kind: PageKind, unreadable: &mut Unreadables) {
        let mut read = |at: PhysAddr, bytes: &mut [u8]| self.file.read_at(bytes, at.get());
        match kind {
            PageKind::Ram if self.reads_ram => {
                let refused = self.flags.refused(target.range());
                fill_except(target, &refused, &mut read, unreadable)
            }
            PageKind::Ram => target.refuse(NOT_PERMITTED, unreadable),
            PageKind::Firmware => fill(target, &mut read, unreadable),
        }
    }
}

/// What a page that can be read contains.
#[derive(Clone, Copy)]
enum PageKind {
    Ram,
    Firmware,
}

impl ReadPhys for DevMem {
    fn read_phys(
        &self,
        start: PhysAddr,
        buf: &mut [u8],
        unreadable: &mut Unreadables,
    ) -> Result<(), SourceError> {
        let Some(target) = ReadTarget::new(start, buf) else {
            return Ok(()); // nothing was asked for
        };
        let range = target.range();
        let ram = self.ram.within(range).map(|part| (part, PageKind::Ram));
        let firmware = self.firmware.within(range);
        let firmware = firmware.map(|part| (part, PageKind::Firmware));
        let mut parts: Vec<(PhysRange, PageKind)> = ram.chain(firmware).collect();
        parts.sort_unstable_by_key(|&(part, _)| part);
        let mut rest = Some(target);
        for (part, kind) in parts {
            let Some(left) = rest.take() else { break };
            let [before, within, after] = left.around(part);
            if let Some(before) = before {
                before.refuse(NOT_HERE, unreadable);
            }
            if let Some(within) = within {
                self.read_part(within, kind, unreadable);
            }
            rest = after;
        }
        if let Some(rest) = rest {
            rest.refuse(NOT_HERE, unreadable);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use linpmem_phys::Region;

    fn range(first: u64, last: u64) -> PhysRange {
        PhysRange::from_inclusive(PhysAddr::new(first), PhysAddr::new(last)).unwrap()
    }

    fn map() -> MemoryMap {
        let region = |first, last, kind| Region {
            range: range(first, last),
            kind,
        };
        MemoryMap::new([
            region(0, 0xfff, RegionKind::Reserved),
            region(0x1000, 0x5bff, RegionKind::SystemRam),
            region(0x5c00, 0x7fff, RegionKind::Reserved),
            region(0x8000, 0x87ff, RegionKind::Device),
            region(0x8800, 0x9fff, RegionKind::AcpiTables),
        ])
        .unwrap()
    }

    #[test]
    fn ram_is_not_read_where_it_is_refused_and_mixed_pages_and_registers_never_are() {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(&[0xaa; 0x9800], 0).unwrap();
        // The file does not contain the pages of the self-test, as if the kernel were strict.
        let mut devmem = DevMem::new(file, &map());
        devmem.flags = PageFlags::unavailable();
        assert!(!devmem.reads_ram());
        assert!(devmem.reads_firmware());
        let read = |devmem: &DevMem| {
            let mut bytes = vec![0x55; 0xc000];
            let mut unreadable = Unreadables::new();
            devmem
                .read_phys(PhysAddr::ZERO, &mut bytes, &mut unreadable)
                .unwrap();
            let listed: Vec<_> = unreadable
                .as_slice()
                .iter()
                .map(|item| (item.range, item.errno))
                .collect();
            for (addr, &byte) in (0..).zip(&bytes) {
                let bad = listed
                    .iter()
                    .any(|(range, _)| range.contains(PhysAddr::new(addr)));
                assert_eq!(byte, if bad { 0 } else { 0xaa }, "{addr:#x}");
            }
            listed
        };
        let rest = [
            (range(0x5000, 0x5fff), NOT_HERE),
            (range(0x8000, 0x8fff), NOT_HERE),
            (range(0x9800, 0x9fff), Errno::ENXIO),
            (range(0xa000, 0xbfff), NOT_HERE),
        ];
        let mut strict = vec![(range(0x1000, 0x4fff), NOT_PERMITTED)];
        strict.extend(rest);
        assert_eq!(read(&devmem), strict);
        devmem.reads_ram = true;
        assert_eq!(read(&devmem), rest);
    }
}
