// SPDX-License-Identifier: MIT OR Apache-2.0
//! /dev/mem (drivers/char/mem.c): firmware's and reserved memory, and System RAM
//! where the kernel was built without `CONFIG_STRICT_DEVMEM`.
//!
//! Under that option the kernel refuses System RAM above 1 MiB, and gives zeros
//! for System RAM below it: these zeros are not memory, so no page of RAM is read
//! then. A page that is part RAM, part not is never read: the kernel would map it
//! as a device and warn. Neither is what no entry of /proc/iomem claims: that may
//! be a device's registers.

use super::page_flags::PageFlags;
use super::self_test;
use crate::pages::Pages;
use crate::read_target::{ReadTarget, fill, fill_except};
use crate::selection::Selection;
use linpmem_phys::{
    Errno, MemoryMap, PhysAddr, PhysRange, ReadPhys, RegionKind, SourceError, Unreadables,
};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// The device node.
pub(super) const PATH: &str = "/dev/mem";

/// What is listed that this source does not read.
const NOT_HERE: Errno = Errno::new(95); // EOPNOTSUPP
/// What RAM is listed with that the kernel keeps from it.
const NOT_PERMITTED: Errno = Errno::new(1); // EPERM

/// /dev/mem, open.
#[derive(Debug)]
pub(super) struct DevMem {
    file: File,
    flags: PageFlags,
    /// Whole pages of RAM.
    ram: Pages,
    /// Pages with nothing but firmware's and reserved memory in them.
    firmware: Pages,
    reads_ram: bool,
}

impl DevMem {
    pub(super) fn open() -> io::Result<File> {
        File::open(PATH)
    }

    /// `file` is the device, `map` the machine's.
    pub(super) fn new(file: File, map: &MemoryMap) -> Self {
        let kinds = |keep: &dyn Fn(RegionKind) -> bool| {
            let regions = map.regions().iter().filter(|region| keep(region.kind));
            Pages::touched_by(regions.map(|region| region.range))
        };
        let others = kinds(&|kind| !is_firmware(kind));
        let firmware = kinds(&is_firmware);
        let apart = firmware
            .ranges()
            .iter()
            .flat_map(|&range| others.outside(range));
        let whole = map
            .regions()
            .iter()
            .filter(|region| region.kind == RegionKind::SystemRam)
            .filter_map(|region| region.range.whole_pages());
        let mut own = Self {
            file,
            flags: PageFlags::open(),
            ram: Pages::touched_by(whole),
            firmware: Pages::touched_by(apart),
            reads_ram: true,
        };
        own.reads_ram = self_test::run(&own).is_ok();
        own
    }

    /// Whether System RAM can be read, which was tried.
    pub(super) fn reads_ram(&self) -> bool {
        self.reads_ram
    }

    /// Whether a page of firmware's or reserved memory can be read, which is tried.
    pub(super) fn reads_firmware(&self) -> bool {
        let starts = self.firmware.ranges().iter().map(|range| range.start());
        let mut page = [0; 4096];
        starts
            .map(|start| self.file.read_at(&mut page, start.get()))
            .any(|read| read.is_ok_and(|count| count > 0))
    }

    fn read_part(&self, target: ReadTarget<'_>, kept: Kept, unreadable: &mut Unreadables) {
        let mut read = |at: PhysAddr, bytes: &mut [u8]| self.file.read_at(bytes, at.get());
        match kept {
            Kept::Ram if self.reads_ram => {
                let refused = self.flags.refused(target.range());
                fill_except(target, &refused, &mut read, unreadable)
            }
            Kept::Ram => target.refuse(NOT_PERMITTED, unreadable),
            Kept::Firmware => fill(target, &mut read, unreadable),
        }
    }
}

#[derive(Clone, Copy)]
enum Kept {
    Ram,
    Firmware,
}

/// What is asked for by `--include-reserved`.
pub(super) fn is_firmware(kind: RegionKind) -> bool {
    let reserved = Selection {
        include_reserved: true,
        ..Selection::default()
    };
    kind != RegionKind::SystemRam && reserved.wants(kind)
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
        let ram = self.ram.within(range).map(|part| (part, Kept::Ram));
        let firmware = self.firmware.within(range);
        let firmware = firmware.map(|part| (part, Kept::Firmware));
        let mut parts: Vec<(PhysRange, Kept)> = ram.chain(firmware).collect();
        parts.sort_unstable_by_key(|&(part, _)| part);
        let mut rest = Some(target);
        for (part, kept) in parts {
            let Some(left) = rest.take() else { break };
            let [before, within, after] = left.around(part);
            if let Some(before) = before {
                before.refuse(NOT_HERE, unreadable);
            }
            if let Some(within) = within {
                self.read_part(within, kept, unreadable);
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
        // The file holds no page of ours, as a strict /dev/mem would refuse it.
        let mut devmem = DevMem::new(file, &map());
        devmem.flags = PageFlags::none();
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
