// SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0
//! What the core needs from a kernel.

use super::access::Width;
use super::page::{PageState, Region, Route};
use super::walk::Paging;
use super::Errno;

/// Bytes in a page.
pub const PAGE_SIZE: u64 = 4096;

/// The services of the running kernel. Only [`load`](Self::load) reads the memory in
/// question; the other methods read what the kernel records about it.
pub trait Kernel {
    /// Keeps memory from being removed while it lives.
    type Held;

    /// Until the result is dropped, the kernel does not remove memory that
    /// [`ram_page`](Self::ram_page) finds online: neither the page nor what the kernel
    /// records about it. The caller must not wait for user space in between.
    fn hold_memory(&self) -> Self::Held;

    /// Bits of a physical address, at most 52.
    fn phys_bits(&self) -> u32;

    /// The first range of System RAM in the resource tree that begins before `end`
    /// and ends after `from`, clipped to both, as `(start, end)`.
    fn next_ram(&self, from: u64, end: u64) -> Option<(u64, u64)>;

    /// The state of the page of System RAM at `page` (page-aligned).
    fn ram_page(&self, held: &Self::Held, page: u64) -> PageState;

    /// The first page of `start..end` (page-aligned) that is not online any more. All of them
    /// were when `held` was taken, so only single pages can have changed: a hypervisor
    /// took them back, or the hardware reported them.
    fn first_lost(&self, held: &Self::Held, start: u64, end: u64) -> Option<u64>;

    /// What the resource tree says about the page at `page` (page-aligned), none of
    /// which is System RAM.
    fn region(&self, page: u64) -> Region;

    /// Whether the mapping of the kernel's image maps the page of System RAM at `page`
    /// (page-aligned). It is asked about pages that the direct map lacks.
    fn image_maps(&self, page: u64) -> bool;

    /// Makes one load of `width` at `addr`, which is a multiple of it and lies in a
    /// page that is read by `route`.
    ///
    /// # Errors
    /// `EIO` if the load faulted, `EACCES` if the page cannot be mapped for `route`.
    fn load(&self, route: Route, addr: u64, width: Width) -> Result<u64, Errno>;

    /// How virtual addresses are translated.
    ///
    /// # Errors
    /// `EOPNOTSUPP` where page tables do not hold physical addresses (Xen PV).
    fn paging(&self) -> Result<Paging, Errno>;

    /// The physical address of the top page table of process `pid` in the caller's
    /// pid namespace; 0 is the caller. With page-table isolation it is the table for
    /// kernel mode. On arm64 it is the one in TTBR0.
    ///
    /// # Errors
    /// `ESRCH` if there is no such process, or it is a kernel thread.
    fn page_table(&self, pid: i32) -> Result<u64, Errno>;

    /// Whether page-table isolation is on: user mode then has a top page table of its
    /// own, in the page after the one for kernel mode.
    fn is_isolated(&self) -> bool;

    /// Lets other tasks run, and returns whether a signal is pending for this one.
    fn yield_now(&self) -> bool;
}

/// Where the bytes of a read go: the caller's buffer, filled front to back.
pub trait Transfer {
    /// Appends the `len` bytes at physical address `start`, all of which are read by
    /// `route`. If that is [`Route::Image`], [`Route::Alias`] or [`Route::Device`], they lie
    /// within one page.
    ///
    /// Unless they come from a device, this does not wait for the caller's buffer: where
    /// that is not present, the copy stops with `EFAULT`.
    ///
    /// # Errors
    /// `EACCES` if a page cannot be mapped for `route`.
    fn copy(&mut self, route: Route, start: u64, len: usize) -> Result<Copied, Errno>;

    /// Makes the next `len` bytes of the buffer present, or as many as possible. This can
    /// take any time: user space may be the one that provides them.
    ///
    /// # Errors
    /// `EFAULT` if not even the next byte can be written.
    fn make_present(&mut self, len: usize) -> Result<(), Errno>;

    /// Takes back the last `len` bytes: the next ones replace them.
    fn take_back(&mut self, len: usize);

    /// Appends `len` zero bytes.
    fn zero(&mut self, len: usize) -> Copied;
}

/// Where the status of each page of a read goes, in order.
pub trait Statuses {
    /// Appends `status` for each of `pages` pages: 0, or an errno.
    ///
    /// # Errors
    /// `EFAULT` if the caller's array cannot be written to.
    fn append(&mut self, pages: u64, status: u8) -> Result<(), Errno>;
}

/// How far a copy came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copied {
    /// Bytes that arrived.
    pub bytes: usize,
    /// Why the copy stopped early: `EIO` if the source faulted, `EFAULT` if the
    /// caller's buffer did or is not present.
    pub stopped: Option<Errno>,
}
