// SPDX-License-Identifier: MIT OR Apache-2.0
//! Translating virtual addresses, and the page tables of processes.

use crate::dialect::Dialect;
use crate::{Device, RequestError, error, machine, sys};
use linpmem_core::walk::x86::Paging;
use linpmem_core::{Errno as CoreErrno, abi, original, request};
use linpmem_phys::num::u32_as_usize;
use linpmem_phys::{PhysAddr, PhysLen};
use rustix::io::Errno;

/// Machines on which the original loads have four levels and nothing encrypted.
const ORIGINAL_PAGING: Paging = Paging {
    levels: 4,
    phys_bits: 52,
    encryption_mask: 0,
};

/// The page tables that a translation uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressSpace {
    /// Those of the calling process.
    Caller,
    /// Those of a process, by its id in the caller's pid namespace.
    Process(u32),
    /// Those below this CR3 value (TTBR0 on arm64) or top page table.
    PageTable(u64),
}

/// A walk through page tables.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Translation {
    /// The top page table that was used. On arm64 an address of the kernel is always
    /// translated by TTBR1.
    pub page_table: PhysAddr,
    /// Levels of the page tables, 4 or 5; on arm64 2 to 5.
    pub levels: u32,
    /// The entries read, from the top down.
    pub entries: Vec<Entry>,
    /// How the walk ended.
    pub outcome: Outcome,
}

/// A page-table entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its physical address.
    pub addr: PhysAddr,
    /// Its value.
    pub value: u64,
}

/// How a walk ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The address is mapped.
    Mapped(Mapped),
    /// The last entry is not present.
    NotPresent,
    /// The table that the last entry refers to could not be read.
    Broken(linpmem_phys::Errno),
}

/// Where and how an address is mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapped {
    /// The physical address of the byte.
    pub phys: PhysAddr,
    /// What one entry maps: 4 KiB, 2 MiB or 1 GiB; other sizes on arm64.
    pub page: PhysLen,
    /// Every entry is writable.
    pub write: bool,
    /// Every entry is open to user space.
    pub user: bool,
    /// No entry forbids execution.
    pub execute: bool,
    /// Mapped, but any access faults (PROT_NONE).
    pub no_access: bool,
}

/// The top page tables of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageTables {
    /// The one that the kernel uses for the process: its CR3, or TTBR0 on arm64, without the
    /// flags.
    pub kernel: PhysAddr,
    /// The one that user mode uses; the same unless page-table isolation is on.
    pub user: PhysAddr,
}

impl Device {
    /// Translates the virtual address `virt`.
    ///
    /// # Errors
    /// If `virt` is not canonical (`EINVAL`), the process does not exist or has no
    /// memory of its own (`ESRCH`), or the machine's page tables do not hold physical
    /// addresses (`EOPNOTSUPP`).
    pub fn translate(&self, space: AddressSpace, virt: u64) -> Result<Translation, RequestError> {
        let page_table = match space {
            AddressSpace::Caller => 0,
            AddressSpace::Process(pid) => self.page_tables(pid)?.kernel.get(),
            AddressSpace::PageTable(root) => root,
        };
        if self.dialect() == Dialect::Original {
            return self.walk(page_table, virt);
        }
        let request = abi::Translate {
            virt,
            page_table,
            ..abi::Translate::default()
        };
        let answer = sys::ask(self.fd(), request).map_err(|errno| refused(virt, errno))?;
        Ok(Translation::from_abi(&answer))
    }

    /// The top page tables of process `pid`; 0 is the caller.
    ///
    /// # Errors
    /// `ESRCH` if there is no such process, or it is a kernel thread.
    pub fn page_tables(&self, pid: u32) -> Result<PageTables, RequestError> {
        let wrong = |errno| match errno {
            Errno::NOTTY | Errno::NOSYS => RequestError::Unsupported {
                what: "find page tables",
            },
            errno => RequestError::Process {
                pid,
                errno: error::errno(errno),
            },
        };
        if self.dialect() == Dialect::Original {
            let request = original::Cr3Info {
                target_process: pid.into(),
                ..original::Cr3Info::default()
            };
            let answer = sys::ask(self.fd(), request).map_err(wrong)?;
            let kernel = PhysAddr::new(answer.result_cr3);
            // The original gives the kernel's only.
            return Ok(PageTables {
                kernel,
                user: kernel,
            });
        }
        let request = abi::PageTable {
            pid: i32::try_from(pid).map_err(|_| wrong(Errno::SRCH))?,
            ..abi::PageTable::default()
        };
        let answer = sys::ask(self.fd(), request).map_err(wrong)?;
        Ok(PageTables {
            kernel: PhysAddr::new(answer.kernel),
            user: PhysAddr::new(answer.user),
        })
    }

    /// Walks page tables by single loads: the original's own translation returns no
    /// entries and is wrong about large pages.
    fn walk(&self, page_table: u64, virt: u64) -> Result<Translation, RequestError> {
        // The original is for x86-64 and does not tell how the tables of arm64 are to be read.
        if machine::is_arm64() {
            return Err(RequestError::Unsupported {
                what: "translate on arm64",
            });
        }
        let cr3 = match page_table {
            0 => self.page_tables(0)?.kernel.get(),
            given => given,
        };
        let load = |addr| {
            sys::original_load(self.fd(), addr, 8).map_err(|errno| match errno {
                Errno::ACCESS => CoreErrno::EACCES,
                Errno::NXIO => CoreErrno::ENXIO,
                _ => CoreErrno::EIO,
            })
        };
        let walk = ORIGINAL_PAGING
            .walk(cr3, virt, load)
            .map_err(|_| refused(virt, Errno::INVAL))?;
        let root = ORIGINAL_PAGING.root(cr3);
        let answer = request::translate_reply(virt, root, ORIGINAL_PAGING.levels, &walk);
        Ok(Translation::from_abi(&answer))
    }
}

fn refused(virt: u64, errno: Errno) -> RequestError {
    match errno {
        Errno::NOTTY | Errno::NOSYS => RequestError::Unsupported { what: "translate" },
        errno => RequestError::Translate {
            virt,
            errno: error::errno(errno),
        },
    }
}

impl Translation {
    fn from_abi(answer: &abi::Translate) -> Self {
        let entries = answer.entries.iter().take(u32_as_usize(answer.steps));
        let has = |right| answer.rights & right != 0;
        let outcome = match answer.outcome {
            abi::OUTCOME_MAPPED => Outcome::Mapped(Mapped {
                phys: PhysAddr::new(answer.phys),
                page: PhysLen::new(answer.page_bytes),
                write: has(abi::RIGHT_WRITE),
                user: has(abi::RIGHT_USER),
                execute: has(abi::RIGHT_EXECUTE),
                no_access: has(abi::RIGHT_NONE),
            }),
            abi::OUTCOME_BROKEN => Outcome::Broken(
                i32::try_from(answer.error)
                    .map_or(linpmem_phys::Errno::EIO, linpmem_phys::Errno::new),
            ),
            _ => Outcome::NotPresent,
        };
        Self {
            page_table: PhysAddr::new(answer.page_table),
            levels: answer.levels,
            entries: entries
                .map(|entry| Entry {
                    addr: PhysAddr::new(entry.addr),
                    value: entry.value,
                })
                .collect(),
            outcome,
        }
    }

    /// Where the address is mapped, if it is.
    #[must_use]
    pub fn mapped(&self) -> Option<Mapped> {
        match self.outcome {
            Outcome::Mapped(mapped) => Some(mapped),
            Outcome::NotPresent | Outcome::Broken(_) => None,
        }
    }
}
