// SPDX-License-Identifier: GPL-2.0-only
//! Bytes into the caller's buffer, over memory that may fail under the copy.

use crate::linpmem_core::kernel::PAGE_SIZE;
use crate::linpmem_core::{Copied, Errno, Transfer};
use crate::running::shim;
use core::ffi::c_void;
use kernel::{bindings, iov::IovIterDest};

/// The buffers of one read system call.
pub(crate) struct UserBuffer<'i, 'data> {
    iov: &'i mut IovIterDest<'data>,
}

impl<'i, 'data> UserBuffer<'i, 'data> {
    /// `None` unless the buffers are in user space: for others the tolerant
    /// copy is not tolerant.
    pub(crate) fn new(iov: &'i mut IovIterDest<'data>) -> Option<Self> {
        // SAFETY: `as_raw` gives a valid iterator; the shim only looks at its type.
        let user = unsafe { shim::linpmem_is_user_backed(iov.as_raw()) };
        user.then_some(Self { iov })
    }

    /// Copies from a kernel address whose mapping, memory or machine may fail.
    ///
    /// # Safety
    /// `source` must be an address of the direct map, or of a mapping that lives
    /// until this returns. It need not be readable.
    unsafe fn copy(&mut self, source: *const c_void, len: usize) -> Copied {
        // SAFETY: The iterator is valid and user-backed by construction, so the
        // copy is protected against faults and machine checks on either side.
        let bytes = unsafe { bindings::_copy_mc_to_iter(source, len, self.iov.as_raw()) };
        let stopped = if bytes == len {
            None
        } else {
            Some(self.why_short())
        };
        Copied { bytes, stopped }
    }

    /// Which side stopped the copy. The source is not touched again: a broken
    /// page may not forgive a second look.
    fn why_short(&mut self) -> Errno {
        // SAFETY: The iterator is valid.
        let missing = unsafe { bindings::fault_in_iov_iter_writeable(self.iov.as_raw(), 1) };
        if missing == 0 {
            Errno::EIO
        } else {
            Errno::EFAULT
        }
    }
}

impl Transfer for UserBuffer<'_, '_> {
    fn copy_direct_map(&mut self, start: u64, len: usize) -> Copied {
        // SAFETY: Computes an address of the direct map, reads nothing.
        let source = unsafe { shim::linpmem_direct_map(start) };
        // SAFETY: It is an address of the direct map.
        unsafe { self.copy(source, len) }
    }

    fn copy_mapping(&mut self, start: u64, len: usize) -> Result<Copied, Errno> {
        let page = start & !(PAGE_SIZE - 1);
        let offset = (start - page) as usize;
        // SAFETY: The core asks this only for pages without System RAM and below
        // the last physical address, the two things that memremap warns about.
        let mapping =
            unsafe { bindings::memremap(page, PAGE_SIZE as usize, bindings::MEMREMAP_WB as _) };
        if mapping.is_null() {
            // The memory type says that this is no memory, or that it is mapped
            // uncached elsewhere: a device.
            return Err(Errno::EACCES);
        }
        // SAFETY: `offset` lies in the page, and the mapping lives until `memunmap`.
        let copied = unsafe { self.copy(mapping.byte_add(offset), len) };
        // SAFETY: `mapping` is from `memremap` and used no more.
        unsafe { bindings::memunmap(mapping) };
        Ok(copied)
    }
}
