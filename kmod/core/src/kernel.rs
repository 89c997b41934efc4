// SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0
//! What the core needs of a kernel.

use super::classify::{PageState, Region};
use super::Errno;

/// Bytes in a page, and in every unit of [`Kernel`]'s answers.
pub const PAGE_SIZE: u64 = 4096;

/// The services of the running kernel. None of them reads the memory that it
/// speaks of.
pub trait Kernel {
    /// Bits of a physical address, at most 52.
    fn phys_bits(&self) -> u32;

    /// The first System RAM of the resource tree that begins before `end` and
    /// ends above `from`, clipped to them, as `(start, end)`.
    fn next_ram(&self, from: u64, end: u64) -> Option<(u64, u64)>;

    /// The state of the page of System RAM at `page` (page-aligned).
    fn ram_page(&self, page: u64) -> PageState;

    /// What the page at `page` is (page-aligned), given that no byte of it is
    /// System RAM.
    fn region(&self, page: u64) -> Region;

    /// Lets other tasks run, and says whether a signal waits for this one.
    fn yield_now(&self) -> bool;
}

/// Where the bytes of a read go: the caller's buffer, front to back.
pub trait Transfer {
    /// Appends the `len` bytes at physical address `start` through the kernel's
    /// own mapping of all RAM.
    fn copy_direct_map(&mut self, start: u64, len: usize) -> Copied;

    /// Appends the `len` bytes at `start`, which lie in one page outside
    /// System RAM, through a cached mapping made for them.
    ///
    /// # Errors
    /// If the kernel refuses to map the page as memory.
    fn copy_mapping(&mut self, start: u64, len: usize) -> Result<Copied, Errno>;
}

/// How far a copy came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copied {
    /// Bytes that arrived.
    pub bytes: usize,
    /// Why no more did: `EIO` if the source failed, `EFAULT` if the caller's
    /// buffer did.
    pub stopped: Option<Errno>,
}
