// SPDX-License-Identifier: MIT OR Apache-2.0
//! System RAM through /proc/kcore, the kernel's memory as an ELF core.
//!
//! The kernel catches faults while it copies, and returns zeros for what it could not or
//! would not read. So that such zeros are not taken for memory, each page is looked up in
//! /proc/kpageflags before it is read, and again if it reads as zeros.

mod direct_map;
mod headers;
#[cfg(test)]
mod tests;

use super::Iomem;
use super::page_flags::PageFlags;
use crate::read_target::{ReadTarget, fill_except, refuse_some};
use direct_map::{DirectMap, NoDirectMap};
use headers::{Headers, HeadersError};
use linpmem_kinfo::layout::Architecture;
use linpmem_phys::num::u64_as_usize;
use linpmem_phys::{
    Errno, MemoryMap, PAGE_SIZE, PhysAddr, PhysRange, ReadPhys, SourceError, Unreadable,
    Unreadables, is_zero,
};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, PoisonError, RwLock};

/// The file.
pub(super) const PATH: &str = "/proc/kcore";

/// Whether a crash kernel is loaded.
const CRASH_LOADED: &str = "/sys/kernel/kexec_crash_loaded";

/// The errno for pages that no segment contains.
const NOT_MAPPED: Errno = Errno::EFAULT;

/// The errno for pages whose place in the file kept changing.
const BUSY: Errno = Errno::EBUSY;

/// How often a read is tried. Adding or removing memory moves the rest within the file,
/// and what was read in the meantime is discarded.
const MAX_TRIES: u32 = 4;

/// /proc/kcore, open.
#[derive(Debug)]
pub(super) struct Kcore {
    file: File,
    map: MemoryMap,
    architecture: Architecture,
    /// Where the kernel has its data and bss.
    kernel_data: Option<PhysRange>,
    /// RAM that the kernel may have taken out of the direct map, where zeros prove nothing.
    doubtful: Vec<PhysRange>,
    flags: PageFlags,
    current: RwLock<Arc<Snapshot>>,
    vmcoreinfo: Option<Vec<u8>>,
}

/// Where memory was in the file at one moment.
#[derive(Debug)]
struct Snapshot {
    direct_map: DirectMap,
    /// The number of segments. It changes when memory is added or removed.
    segments: u16,
}

/// The file is not usable.
#[derive(Debug, thiserror::Error)]
pub(super) enum KcoreError {
    #[error(transparent)]
    Headers(#[from] HeadersError),
    #[error(transparent)]
    NoDirectMap(#[from] NoDirectMap),
}

impl Kcore {
    pub(super) fn open() -> io::Result<File> {
        File::open(PATH)
    }

    /// The RAM in `iomem`, through `file`.
    ///
    /// # Errors
    /// If `file` is not a kernel's core, or does not contain that RAM.
    pub(super) fn new(file: File, iomem: &Iomem) -> Result<Self, KcoreError> {
        let flags = PageFlags::open(iomem.map.ram());
        let kcore = Self::with(file, &iomem.map, iomem.kernel_data, flags)?;
        let is_loaded = std::fs::read(CRASH_LOADED).is_ok_and(|text| text.starts_with(b"1"));
        Ok(kcore.doubting(&iomem.crash_kernel, is_loaded))
    }

    /// A crash kernel that `is_loaded` into `memory` is not in the direct map of arm64, before
    /// Linux 6.4 (arch_kexec_protect_crashkres).
    fn doubting(self, memory: &[PhysRange], is_loaded: bool) -> Self {
        let is_doubtful = is_loaded && self.architecture == Architecture::Aarch64;
        Self {
            doubtful: memory.iter().copied().filter(|_| is_doubtful).collect(),
            ..self
        }
    }

    fn with(
        file: File,
        map: &MemoryMap,
        kernel_data: Option<PhysRange>,
        flags: PageFlags,
    ) -> Result<Self, KcoreError> {
        let headers = headers::read(&file)?;
        let snapshot = Snapshot::of(&headers, map, kernel_data)?;
        Ok(Self {
            file,
            map: map.clone(),
            architecture: headers.architecture,
            kernel_data,
            doubtful: Vec::new(),
            flags,
            current: RwLock::new(Arc::new(snapshot)),
            vmcoreinfo: headers.vmcoreinfo,
        })
    }

    /// The text of VMCOREINFO, if the file has it.
    pub(super) fn vmcoreinfo(&self) -> Option<&[u8]> {
        self.vmcoreinfo.as_deref()
    }

    /// What the direct map adds to a physical address.
    pub(super) fn direct_map_base(&self) -> u64 {
        self.current().direct_map.base()
    }

    /// Where the direct map is, and how that is known.
    pub(super) fn detail(&self) -> String {
        let current = self.current();
        let base = current.direct_map.base();
        if current.direct_map.is_base_inferred() {
            format!(
                "direct map at {base:#x}, inferred from the segments, which have no physical \
                 addresses"
            )
        } else if current.direct_map.has_image_data() {
            format!("direct map at {base:#x}; kernel data by the mapping of the kernel's image")
        } else {
            format!("direct map at {base:#x}")
        }
    }

    /// What the user should know.
    pub(super) fn warnings(&self) -> Vec<String> {
        let fate = format!(
            "will be zero in the image and not listed as unreadable: {PATH} returns zeros for them"
        );
        self.flags.warnings(&self.map, &fate)
    }

    fn current(&self) -> Arc<Snapshot> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&current)
    }

    /// Reads the headers again.
    fn renew(&self) -> Result<(), KcoreError> {
        let snapshot = Snapshot::of(&headers::read(&self.file)?, &self.map, self.kernel_data)?;
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        *current = Arc::new(snapshot);
        Ok(())
    }

    fn read_with(
        &self,
        direct_map: &DirectMap,
        target: ReadTarget<'_>,
        unreadable: &mut Unreadables,
    ) {
        let mut rest = Some(target);
        while let Some(target) = rest.take() {
            let Some((part, offset)) = direct_map.first_within(target.range()) else {
                self.refuse_unmapped(target, unreadable);
                return;
            };
            let [before, within, after] = target.around(part);
            if let Some(before) = before {
                self.refuse_unmapped(before, unreadable);
            }
            if let Some(within) = within {
                self.read_mapped(within, offset, unreadable);
            }
            rest = after;
        }
    }

    /// Lists what no segment contains. Older kernels leave out what is offline.
    fn refuse_unmapped(&self, target: ReadTarget<'_>, unreadable: &mut Unreadables) {
        let refused = self.flags.refused(target.range());
        refuse_some(target, &refused, unreadable, &mut |rest, unreadable| {
            rest.refuse(NOT_MAPPED, unreadable);
        });
    }

    /// Reads a part of one segment, `offset` bytes into the file.
    fn read_mapped(&self, mut target: ReadTarget<'_>, offset: u64, unreadable: &mut Unreadables) {
        let range = target.range();
        let mut found = Unreadables::new();
        let mut read = |at: PhysAddr, bytes: &mut [u8]| {
            let position = at
                .checked_sub(range.start())
                .and_then(|skipped| offset.checked_add(skipped.get()))
                .ok_or(io::ErrorKind::InvalidInput)?;
            self.file.read_at(bytes, position)
        };
        if let Some(target) = ReadTarget::new(range.start(), target.bytes()) {
            let refused = self.flags.refused(target.range());
            fill_except(target, &refused, &mut read, &mut found);
        }
        for item in self.with_unread_zeros(range, target.bytes(), &found) {
            unreadable.push(item.range, item.errno);
        }
    }

    /// `found`, and the pages of `range` that are zero because the kernel did not read
    /// them, by address.
    fn with_unread_zeros(
        &self,
        range: PhysRange,
        bytes: &[u8],
        found: &Unreadables,
    ) -> Vec<Unreadable> {
        let mut all = found.as_slice().to_vec();
        let mut zero = Unreadables::new();
        let mut rest = bytes;
        for page in range.pieces(PAGE_SIZE) {
            let len = u64_as_usize(page.len().get());
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
            let refused = self.flags.refused(run.range);
            let doubtful = self.doubtful.iter();
            for part in doubtful.filter_map(|part| part.intersect(run.range)) {
                all.extend(
                    missing_from(part, refused.as_slice()).map(|range| Unreadable {
                        range,
                        errno: NOT_MAPPED,
                    }),
                );
            }
            all.extend_from_slice(refused.as_slice());
        }
        all.sort_unstable_by_key(|item| item.range);
        all
    }
}

/// The parts of `range` that `listed`, by address, does not have.
fn missing_from(range: PhysRange, listed: &[Unreadable]) -> impl Iterator<Item = PhysRange> {
    let mut rest = Some(range);
    let mut missing = Vec::new();
    for item in listed {
        let Some((before, above)) = rest.map(|rest| rest.split_at(item.range.start())) else {
            break;
        };
        missing.extend(before);
        rest = above.and_then(|above| above.split_at(item.range.end()).1);
    }
    missing.into_iter().chain(rest)
}

impl Snapshot {
    fn of(
        headers: &Headers,
        map: &MemoryMap,
        kernel_data: Option<PhysRange>,
    ) -> Result<Self, NoDirectMap> {
        Ok(Self {
            direct_map: DirectMap::of(headers, map, kernel_data)?,
            segments: headers.segments,
        })
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
            self.read_with(&current.direct_map, target, &mut found);
            let segments = headers::segment_count(&self.file).map_err(|error| failed(&error))?;
            if segments == current.segments {
                unreadable.append(&found);
                return Ok(());
            }
            self.renew().map_err(|error| failed(&error))?;
        }
        // Memory is being added and removed faster than it can be read.
        if let Some(target) = ReadTarget::new(start, buf) {
            target.refuse(BUSY, unreadable);
        }
        Ok(())
    }
}
