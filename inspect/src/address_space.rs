// SPDX-License-Identifier: MIT OR Apache-2.0
//! Virtual addresses: the kernel's, or those of a process.

use crate::error::{MemoryError, Reason};
use crate::memory::Memory;
use linpmem_core::Errno;
use linpmem_core::walk::{Outcome, Paging};
use linpmem_phys::PAGE_SIZE;
use linpmem_phys::num::{u64_as_usize, usize_as_u64};

/// A tree of page tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressSpace {
    paging: Paging,
    root: u64,
}

/// What page tables say of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// It is mapped.
    Mapped {
        /// The physical address.
        phys: u64,
        /// What the last entry maps.
        page_bytes: u64,
    },
    /// It is not in memory.
    Absent {
        /// What the last entry would map.
        bytes: u64,
        /// Whether it is in swap, or about to be moved.
        is_swapped: bool,
    },
    /// The tables cannot be followed.
    Broken {
        /// What the last entry that could be read is for.
        bytes: u64,
    },
}

impl AddressSpace {
    /// The addresses that the tables below `root` translate.
    #[must_use]
    pub const fn new(paging: Paging, root: u64) -> Self {
        Self { paging, root }
    }

    /// The same kind of tables, below another one.
    #[must_use]
    pub const fn with_root(self, root: u64) -> Self {
        Self { root, ..self }
    }

    /// The physical address of `virt`.
    pub(crate) fn translate(&self, memory: &Memory<'_>, virt: u64) -> Result<u64, Reason> {
        let within = virt % PAGE_SIZE.get();
        let page = virt - within;
        let root = self.paging.shared_root(virt).unwrap_or(self.root);
        if let Some(phys) = memory.translation(root, page) {
            return Ok(phys | within);
        }
        let mut failed = None;
        let walk = self.paging.walk(root, page, |at| {
            memory.read_u64(at).map_err(|reason| {
                failed = Some(reason);
                Errno::EIO
            })
        });
        let walk = walk.map_err(|_| Reason::Invalid)?;
        match walk.outcome {
            Outcome::Mapped { phys, .. } => {
                memory.keep_translation(root, page, phys);
                Ok(phys | within)
            }
            Outcome::NotPresent => match walk.steps().last() {
                Some(step) if step.value != 0 => Err(Reason::SwappedOut),
                _ => Err(Reason::NotMapped),
            },
            Outcome::Broken(_) => Err(failed.unwrap_or(Reason::BrokenTables)),
        }
    }

    /// The entry that says that the page of `virt` is not in memory, in the last table of x86-64.
    pub(crate) fn not_present(&self, memory: &Memory<'_>, virt: u64) -> Option<u64> {
        if !matches!(self.paging, Paging::X86(_)) {
            return None;
        }
        let read = |at| memory.read_u64(at).map_err(|_| Errno::EIO);
        let walk = self.paging.walk(self.root, virt, read).ok()?;
        let taken = u32::try_from(walk.steps().len()).ok()?;
        let is_last = taken == self.paging.levels(virt);
        let entry = walk.steps().last().map(|step| step.value);
        entry.filter(|_| is_last && walk.outcome == Outcome::NotPresent)
    }

    /// What the page tables say of `virt`.
    pub(crate) fn place(&self, memory: &Memory<'_>, virt: u64) -> Place {
        let root = self.paging.shared_root(virt).unwrap_or(self.root);
        let read = |at| memory.read_u64(at).map_err(|_| Errno::EIO);
        let walk = self.paging.walk(root, virt, read);
        let Ok(walk) = walk else {
            let bytes = PAGE_SIZE.get();
            return Place::Broken { bytes };
        };
        let taken = u32::try_from(walk.steps().len()).unwrap_or(0);
        let bytes = self.covered(virt, taken);
        match walk.outcome {
            Outcome::Mapped {
                phys, page_bytes, ..
            } => Place::Mapped { phys, page_bytes },
            Outcome::NotPresent => Place::Absent {
                bytes,
                is_swapped: walk.steps().last().is_some_and(|step| step.value != 0),
            },
            Outcome::Broken(_) => Place::Broken { bytes },
        }
    }

    /// Bytes of addresses that the last of `taken` entries is for.
    fn covered(&self, virt: u64, taken: u32) -> u64 {
        let page_bits = match self.paging {
            Paging::X86(_) => PAGE_SIZE.get().trailing_zeros(),
            Paging::Arm64(paging) => paging.half(virt).granule.bits(),
        };
        let below = self.paging.levels(virt).saturating_sub(taken.max(1));
        // Eight bytes an entry.
        let bits = page_bits + below * (page_bits - 3);
        1_u64.checked_shl(bits).unwrap_or(1 << 63)
    }

    /// Fills `buf` from `virt` on.
    pub(crate) fn read(
        &self,
        memory: &Memory<'_>,
        virt: u64,
        buf: &mut [u8],
    ) -> Result<(), MemoryError> {
        match self.read_some(memory, virt, buf) {
            (_, Some(error)) => Err(error),
            (_, None) => Ok(()),
        }
    }

    /// Fills `buf` from `virt` on, up to the first page that cannot be read; returns how many
    /// bytes that are, and why there are no more.
    pub(crate) fn read_some(
        &self,
        memory: &Memory<'_>,
        virt: u64,
        buf: &mut [u8],
    ) -> (usize, Option<MemoryError>) {
        let mut done = 0;
        let mut rest = buf;
        while !rest.is_empty() {
            let address = virt.wrapping_add(usize_as_u64(done));
            let in_page = PAGE_SIZE.get() - address % PAGE_SIZE.get();
            let len = rest.len().min(u64_as_usize(in_page));
            let (target, tail) = rest.split_at_mut(len);
            let read = self
                .translate(memory, address)
                .and_then(|phys| memory.read(phys, target));
            if let Err(reason) = read {
                return (done, Some(MemoryError { address, reason }));
            }
            rest = tail;
            done += len;
        }
        (done, None)
    }
}
