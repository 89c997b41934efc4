// SPDX-License-Identifier: MIT OR Apache-2.0
//! /dev/crash, the driver of the crash utility in Red Hat's kernels
//! (drivers/char/crash.c there): System RAM, by physical position, and never more
//! than what is left of a page in one read.

use super::page_flags::PageFlags;
use crate::read_target::{ReadTarget, fill_except};
use linpmem_phys::{PhysAddr, ReadPhys, SourceError, Unreadables};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// The device node.
pub(super) const PATH: &str = "/dev/crash";

const PAGE: usize = 4096;

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

    pub(super) fn new(file: File) -> Self {
        Self {
            file,
            flags: PageFlags::open(),
        }
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
            let offset = usize::try_from(at.get()).unwrap_or(0) % PAGE;
            let len = bytes.len().min(PAGE.saturating_sub(offset));
            let (page, _) = bytes.split_at_mut(len);
            self.file.read_at(page, at.get())
        };
        let refused = self.flags.refused(target.range());
        fill_except(target, &refused, &mut read, unreadable);
        Ok(())
    }
}
