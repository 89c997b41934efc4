// SPDX-License-Identifier: MIT OR Apache-2.0
//! System RAM through /proc/kcore, the kernel's memory as an ELF core.
//!
//! The kernel copies by instructions whose faults it catches, and gives zeros for
//! what it could not or would not read. So that zeros are not taken for memory,
//! each page is looked up in /proc/kpageflags before it is read, and again if it
//! turned out zero.

mod headers;
mod layout;

use super::page_flags::PageFlags;
use crate::read_target::{ReadTarget, fill_except};
use headers::HeadersError;
use layout::{Layout, NoDirectMap};
use linpmem_phys::{
    Errno, MemoryMap, PAGE_SIZE, PhysAddr, PhysRange, ReadPhys, SourceError, Unreadable,
    Unreadables, is_zero,
};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{PoisonError, RwLock};

/// Where the kernel puts it.
pub(super) const PATH: &str = "/proc/kcore";

/// What a page is listed with that no segment holds.
const NOT_MAPPED: Errno = Errno::new(14); // EFAULT

/// What is listed whose place in the file did not hold still.
const BUSY: Errno = Errno::new(16); // EBUSY

/// Memory that is added or removed while it is being read moves the rest within
/// the file. It is read again so often.
const MAX_TRIES: u32 = 4;

/// /proc/kcore, open.
#[derive(Debug)]
pub(super) struct Kcore {
    file: File,
    map: MemoryMap,
    flags: PageFlags,
    current: RwLock<Current>,
    vmcoreinfo: Option<Vec<u8>>,
}

/// The layout at one moment, and the number of segments that it was made of.
#[derive(Clone, Debug)]
struct Current {
    layout: Layout,
    segments: u16,
}

/// It cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum KcoreError {
    #[error(transparent)]
    Headers(#[from] HeadersError),
    #[error(transparent)]
    NoDirectMap(#[from] NoDirectMap),
}

impl Kcore {
    /// Opens it, for the RAM in `map`.
    ///
    /// # Errors
    /// The system's; [`Kcore::new`] says whether it can be used.
    pub(super) fn open() -> io::Result<File> {
        File::open(Path::new(PATH))
    }

    pub(super) fn new(file: File, map: &MemoryMap) -> Result<Self, KcoreError> {
        Self::with(file, map, PageFlags::open())
    }

    fn with(file: File, map: &MemoryMap, flags: PageFlags) -> Result<Self, KcoreError> {
        let headers = headers::read(&file)?;
        let layout = Layout::of(&headers.program, map)?;
        let segments = u16::try_from(headers.program.len()).unwrap_or(u16::MAX);
        Ok(Self {
            file,
            map: map.clone(),
            flags,
            current: RwLock::new(Current { layout, segments }),
            vmcoreinfo: headers.vmcoreinfo,
        })
    }

    /// The kernel's note of itself, if the file has it.
    pub(super) fn vmcoreinfo(&self) -> Option<&[u8]> {
        self.vmcoreinfo.as_deref()
    }

    /// The virtual address of physical address 0.
    pub(super) fn direct_map_base(&self) -> u64 {
        self.current().layout.direct_map_base()
    }

    /// How the physical addresses are known.
    pub(super) fn detail(&self) -> String {
        let current = self.current();
        let base = current.layout.direct_map_base();
        if current.layout.is_base_inferred() {
            format!("direct map at {base:#x}, inferred from the segments: they tell no addresses")
        } else {
            format!("direct map at {base:#x}")
        }
    }

    /// What the user should know.
    pub(super) fn warning(&self) -> Option<String> {
        let trouble = self.flags.trouble()?;
        Some(format!(
            "{PATH} gives zeros for pages that are offline, ballooned or broken, and {} cannot \
             tell them from others: {trouble}",
            super::page_flags::PATH
        ))
    }

    fn current(&self) -> Current {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        current.clone()
    }

    /// Looks at the headers again.
    fn renew(&self) -> Result<(), KcoreError> {
        let headers = headers::read(&self.file)?;
        let layout = Layout::of(&headers.program, &self.map)?;
        let segments = u16::try_from(headers.program.len()).unwrap_or(u16::MAX);
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        *current = Current { layout, segments };
        Ok(())
    }

    fn read_with(&self, layout: &Layout, target: ReadTarget<'_>, unreadable: &mut Unreadables) {
        let mut rest = Some(target);
        while let Some(target) = rest.take() {
            let Some((part, offset)) = layout.first_within(target.range()) else {
                target.refuse(NOT_MAPPED, unreadable);
                return;
            };
            let [before, within, after] = target.around(part);
            if let Some(before) = before {
                before.refuse(NOT_MAPPED, unreadable);
            }
            if let Some(within) = within {
                self.read_mapped(within, offset, unreadable);
            }
            rest = after;
        }
    }

    /// Reads what lies in one segment, `offset` bytes into the file.
    fn read_mapped(&self, mut target: ReadTarget<'_>, offset: u64, unreadable: &mut Unreadables) {
        let range = target.range();
        let mut found = Unreadables::new();
        let mut read = |at: PhysAddr, bytes: &mut [u8]| {
            let skipped = at.checked_sub(range.start()).unwrap_or_default();
            let position = offset.checked_add(skipped.get());
            let position = position.ok_or(io::ErrorKind::InvalidInput)?;
            self.file.read_at(bytes, position)
        };
        if let Some(target) = ReadTarget::new(range.start(), target.bytes()) {
            let refused = self.flags.refused(target.range());
            fill_except(target, &refused, &mut read, &mut found);
        }
        for item in self.only_seemingly_zero(range, target.bytes(), &found) {
            unreadable.push(item.range, item.errno);
        }
    }

    /// `found`, and those pages of `range` that are zero because the kernel did
    /// not read them, by address.
    fn only_seemingly_zero(
        &self,
        range: PhysRange,
        bytes: &[u8],
        found: &Unreadables,
    ) -> Vec<Unreadable> {
        let mut all = found.as_slice().to_vec();
        let mut zero = Unreadables::new();
        let mut rest = bytes;
        for page in range.pieces(PAGE_SIZE) {
            let len = usize::try_from(page.len().get()).unwrap_or(0);
            let Some((own, tail)) = rest.split_at_checked(len) else {
                break;
            };
            rest = tail;
            let is_listed = || all.iter().any(|item| item.range.intersect(page).is_some());
            if is_zero(own) && !is_listed() {
                zero.push(page, NOT_MAPPED);
            }
        }
        for run in zero.as_slice() {
            all.extend_from_slice(self.flags.refused(run.range).as_slice());
        }
        all.sort_unstable_by_key(|item| item.range);
        all
    }
}

impl ReadPhys for Kcore {
    fn read_phys(
        &self,
        start: PhysAddr,
        buf: &mut [u8],
        unreadable: &mut Unreadables,
    ) -> Result<(), SourceError> {
        let failed = |error: &dyn std::error::Error| {
            SourceError::new(start, format!("{PATH} can no longer be read: {error}"))
        };
        for _ in 0..MAX_TRIES {
            let Some(target) = ReadTarget::new(start, buf) else {
                return Ok(()); // nothing was asked for
            };
            let current = self.current();
            let mut found = Unreadables::new();
            self.read_with(&current.layout, target, &mut found);
            let segments = headers::segment_count(&self.file).map_err(|error| failed(&error))?;
            if segments == current.segments {
                unreadable.append(&found);
                return Ok(());
            }
            self.renew().map_err(|error| failed(&error))?;
        }
        // Memory comes and goes faster than it can be read.
        if let Some(target) = ReadTarget::new(start, buf) {
            target.refuse(BUSY, unreadable);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
