// SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0
//! Translation of virtual addresses through page tables, in memory or in an image: what
//! all architectures have in common. [`x86`] and [`arm64`] walk.

pub mod arm64;
pub mod x86;

use super::Errno;

/// The most levels that page tables have.
pub const MAX_LEVELS: usize = 5;

/// How a machine translates addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paging {
    /// An x86-64 machine.
    X86(x86::Paging),
    /// An arm64 machine.
    Arm64(arm64::Paging),
}

/// One page-table entry that the walk read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// Physical address of the entry.
    pub addr: u64,
    /// What it held.
    pub value: u64,
}

/// A finished walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Walk {
    steps: [Step; MAX_LEVELS],
    taken: usize,
    /// How the walk ended.
    pub outcome: Outcome,
    /// What all entries together allow.
    pub rights: Rights,
}

/// How a walk ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The address is mapped.
    Mapped {
        /// Physical address of the byte.
        phys: u64,
        /// What one entry of this level maps: 4 KiB, 2 MiB or 1 GiB on x86-64.
        page_bytes: u64,
        /// Linux maps the page, but any access faults (PROT_NONE, NUMA hinting).
        no_access: bool,
    },
    /// The last entry read is not present.
    NotPresent,
    /// The next table cannot be read, or its address is invalid.
    Broken(Errno),
}

/// What the entries of a walk together allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rights {
    /// Every entry is writable.
    pub write: bool,
    /// Every entry is accessible from user mode.
    pub user: bool,
    /// No entry forbids execution.
    pub execute: bool,
}

impl Walk {
    /// The entries read, from the top table down.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        self.steps.get(..self.taken).unwrap_or(&[])
    }
}

impl Paging {
    /// The top table's address in what a caller gives for one: a CR3 or TTBR value, or the
    /// address itself.
    #[must_use]
    pub fn root(&self, given: u64) -> u64 {
        match self {
            Self::X86(paging) => paging.root(given),
            Self::Arm64(paging) => paging.root(given),
        }
    }

    /// The top table of the upper half of the address space, where that is the same for
    /// all processes, and theirs have only the lower half: on arm64.
    #[must_use]
    pub const fn kernel_root(&self) -> Option<u64> {
        match self {
            Self::X86(_) => None,
            Self::Arm64(paging) => Some(paging.kernel_root),
        }
    }

    /// That table, if it translates `virt`.
    #[must_use]
    pub fn shared_root(&self, virt: u64) -> Option<u64> {
        self.kernel_root().filter(|_| arm64::is_upper(virt))
    }

    /// How many levels of tables translate `virt`.
    #[must_use]
    pub fn levels(&self, virt: u64) -> u32 {
        match self {
            Self::X86(paging) => paging.levels,
            Self::Arm64(paging) => paging.half(virt).levels(),
        }
    }

    /// Translates `virt` through the tables below `root`. `read` reads the eight bytes
    /// at a physical address. If the tables change during the walk, the answer may be
    /// wrong, but the walk ends.
    ///
    /// # Errors
    /// `EINVAL` for an address that the processor would not translate.
    pub fn walk(
        &self,
        root: u64,
        virt: u64,
        read: impl FnMut(u64) -> Result<u64, Errno>,
    ) -> Result<Walk, Errno> {
        match self {
            Self::X86(paging) => paging.walk(root, virt, read),
            Self::Arm64(paging) => paging.walk(root, virt, read),
        }
    }
}
