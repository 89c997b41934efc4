// SPDX-License-Identifier: MIT OR Apache-2.0
//! /dev/crash, the driver for the crash utility in Red Hat's kernels
//! (drivers/char/crash.c there): System RAM by physical address. One read returns no
//! more than the rest of a page.

use super::page_flags::{self, PageFlags};
use crate::read_target::{ReadTarget, fill_except};
use linpmem_phys::num::u64_as_usize;
use linpmem_phys::{MemoryMap, PAGE_SIZE, PhysAddr, ReadPhys, SourceError, Unreadables};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// The device node.
pub(super) const PATH: &str = "/dev/crash";

/// /dev/crash, open.
#[derive(Debug)]
pub(super) struct Crash {
    file: File,
    flags: PageFlags,
}

impl Crash {
    pub(super) fn open() -> io::Result<File> {
        File::open(PATH)
    }

    /// On a machine with this `map`.
    pub(super) fn new(file: File, map: &MemoryMap) -> Self {
        Self {
            file,
            flags: PageFlags::open(map.ram()),
        }
    }

    /// What the user should know if this source serves the RAM in `map`.
    pub(super) fn warnings(&self, map: &MemoryMap) -> Vec<String> {
        self.flags.warnings(map, page_flags::READ_LIKE_OTHERS)
    }
}

impl ReadPhys for Crash {
    fn read_phys(
        &self,
        start: PhysAddr,
        buf: &mut [u8],
        unreadable: &mut Unreadables,
    ) -> Result<(), SourceError> {
        let Some(target) = ReadTarget::new(start, buf) else {
            return Ok(()); // nothing was asked for
        };
        let mut read = |at: PhysAddr, bytes: &mut [u8]| {
            let offset = at.get() % PAGE_SIZE.get();
            let len = bytes.len().min(u64_as_usize(PAGE_SIZE.get() - offset));
            let (page, _) = bytes.split_at_mut(len);
            self.file.read_at(page, at.get())
        };
        let refused = self.flags.refused(target.range());
        fill_except(target, &refused, &mut read, unreadable);
        Ok(())
    }
}
