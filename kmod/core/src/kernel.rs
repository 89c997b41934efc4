// SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0
//! What the core needs of a kernel.

use super::access::Width;
use super::classify::{PageState, Region, Route};
use super::walk::Paging;
use super::Errno;

/// Bytes in a page, and in every unit of [`Kernel`]'s answers.
pub const PAGE_SIZE: u64 = 4096;

/// The services of the running kernel. Only [`load`](Self::load) reads the
/// memory that it speaks of.
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

    /// One load of `width` bytes at `addr`, which is aligned to them and lies in
    /// a page that is read by `route`.
    ///
    /// # Errors
    /// `EIO` if the load failed, `EACCES` if the page cannot be mapped so.
    fn load(&self, route: Route, addr: u64, width: Width) -> Result<u64, Errno>;

    /// How virtual addresses are translated.
    ///
    /// # Errors
    /// `EOPNOTSUPP` where page tables do not hold physical addresses (Xen PV).
    fn paging(&self) -> Result<Paging, Errno>;

    /// The physical address of the top page table of the process with this id in
    /// the caller's pid namespace; 0 is the caller. With page-table isolation it
    /// is the kernel's half.
    ///
    /// # Errors
    /// `ESRCH` if there is none, or it is a kernel thread.
    fn page_table(&self, pid: i32) -> Result<u64, Errno>;

    /// Whether user space has a page table of its own, in the page after the
    /// kernel's (page-table isolation).
    fn is_isolated(&self) -> bool;

    /// Lets other tasks run, and says whether a signal waits for this one.
    fn yield_now(&self) -> bool;
}

/// Where the bytes of a read go: the caller's buffer, front to back.
pub trait Transfer {
    /// Appends the `len` bytes at physical address `start`, which are all read
    /// by `route`. All routes but [`Route::DirectMap`] are asked for bytes of
    /// one page only.
    ///
    /// # Errors
    /// `EACCES` if the page cannot be mapped so.
    fn copy(&mut self, route: Route, start: u64, len: usize) -> Result<Copied, Errno>;

    /// Appends `len` zero bytes.
    fn zero(&mut self, len: usize) -> Copied;
}

/// Where the status of each page of a read goes, in order.
pub trait Statuses {
    /// Appends `status` for each of `pages` pages: 0, or an errno.
    ///
    /// # Errors
    /// `EFAULT` if the caller's list is not all there.
    fn append(&mut self, pages: u64, status: u8) -> Result<(), Errno>;
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
