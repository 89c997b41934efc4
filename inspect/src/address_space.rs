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
