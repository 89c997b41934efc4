// SPDX-License-Identifier: MIT OR Apache-2.0
//! What can keep the kernel's data from being read.

use linpmem_kinfo::btf::BtfError;
use linpmem_phys::{Errno, PhysAddr};
use thiserror::Error;

/// Something that is missing, or is not what it has to be.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Error {
    /// VMCOREINFO lacks what leads to the page tables.
    #[error(
        "VMCOREINFO does not tell {0}: without it, the kernel's page tables are not found in the \
         image"
    )]
    NoFact(&'static str),
    /// The architecture's page tables cannot be read so.
    #[error("page tables with {0} are not known to this program")]
    Paging(String),
    /// The kernel's types cannot be read.
    #[error(transparent)]
    Btf(#[from] BtfError),
    /// A symbol is missing.
    #[error(
        "the symbol {0} is not among the kernel's symbols: a kernel without CONFIG_KALLSYMS_ALL \
         lists only functions, and one with kernel.kptr_restrict=2 hides its addresses"
    )]
    NoSymbol(&'static str),
    /// A type is missing.
    #[error("the kernel has no struct {0}")]
    NoStruct(&'static str),
    /// A member is missing.
    #[error("the kernel's {of} has no member {member}")]
    NoMember {
        /// The struct's name.
        of: String,
        /// The member that was looked for.
        member: &'static str,
    },
    /// A member is of another kind than it has to be.
    #[error("the value at {at:#x} is {found}, and should be {wanted}")]
    Kind {
        /// Its address.
        at: u64,
        /// What its type is.
        found: String,
        /// What it should be.
        wanted: &'static str,
    },
    /// A pointer leads nowhere.
    #[error("the pointer at {at:#x} is null")]
    Null {
        /// The address of the pointer.
        at: u64,
    },
    /// Names that lead from one to the next without an end.
    #[error("the path through {at:#x} is longer than any path, or leads in a circle")]
    Endless {
        /// One of the names.
        at: u64,
    },
    /// Memory cannot be read.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// The page tables lead to something that is not this kernel.
    #[error(
        "the kernel's banner is not at {at:#x}, where its page tables and symbols place it: found \
         {found:?}, not that of Linux {release}. The artifacts may be of another boot or \
         another kernel, or the image lacks the page tables"
    )]
    Banner {
        /// Its address.
        at: u64,
        /// What is there.
        found: String,
        /// The release that VMCOREINFO names.
        release: String,
    },
}

impl Error {
    /// Whether no more memory is read: whatever follows fails too.
    pub(crate) const fn is_too_much(&self) -> bool {
        let Self::Memory(error) = self else {
            return false;
        };
        matches!(error.reason, Reason::TooMuch)
    }
}

/// A virtual address that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{address:#x} {reason}")]
pub struct MemoryError {
    /// The address.
    pub address: u64,
    /// Why.
    pub reason: Reason,
}

/// Why an address cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Reason {
    /// The processor would not translate it.
    #[error("is not a valid address")]
    Invalid,
    /// Nothing is mapped there, and nothing was.
    #[error("is not mapped")]
    NotMapped,
    /// The page is not in memory: that of a process was written to swap, or is moved.
    #[error("is marked as not present (of a process: swapped out, or about to be moved)")]
    SwappedOut,
    /// The page was written to a swap area, whose page cannot be read.
    #[error("was swapped out, to page {page} of {area}, which cannot be read: {why}")]
    InSwap {
        /// The page of the area.
        page: u64,
        /// The area's path.
        area: String,
        /// Why it cannot be read.
        why: String,
    },
    /// What the page table has there is of no swap area.
    #[error(
        "is not in memory (an entry of type {kind}, which is no swap area: about to be moved, or a \
         page that is damaged or guarded)"
    )]
    NotSwap {
        /// The type.
        kind: u64,
    },
    /// The page tables lead out of physical memory.
    #[error("has damaged page tables, which lead out of memory")]
    BrokenTables,
    /// The image lacks the page.
    #[error("is at {at} of physical memory, which the image does not have ({errno})")]
    NotInImage {
        /// The physical address.
        at: PhysAddr,
        /// The image's reason.
        errno: Errno,
    },
    /// So much was read that the kernel's data lead in circles.
    #[error("was not read: by then, more had been read than any kernel's data can need")]
    TooMuch,
    /// The image can no longer be read.
    #[error("could not be read: {0}")]
    Source(String),
}
