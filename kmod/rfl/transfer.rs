// SPDX-License-Identifier: GPL-2.0-only
//! Copies to the caller's memory, from memory that may fault during the copy.

use crate::linpmem_core::access::Width;
use crate::linpmem_core::classify::Route;
use crate::linpmem_core::{Copied, Errno, Transfer};
use crate::mapping::Mapping;
use crate::{device_memory, shim};
use core::ffi::c_void;
use kernel::{
    bindings,
    error::to_result,
    iov::IovIterDest,
    types::Opaque,
    uaccess::{UserPtr, UserSlice},
};

/// The caller's buffer.
pub(crate) struct UserBuffer<'i, 'data> {
    iov: &'i mut IovIterDest<'data>,
}

impl<'i, 'data> UserBuffer<'i, 'data> {
    /// `None` if the buffer is not in user space: copies to kernel memory would not
    /// survive a fault.
    pub(crate) fn new(iov: &'i mut IovIterDest<'data>) -> Option<Self> {
        // SAFETY: `as_raw` returns a valid iterator, and the shim only reads its type.
        let user = unsafe { shim::linpmem_is_user_backed(iov.as_raw()) };
        user.then_some(Self { iov })
    }

    /// Copies from a mapping that may fault at any byte, as far as the buffer is present.
    fn copy_memory(&mut self, mapping: &Mapping, len: usize) -> Copied {
        let mut source_faulted = false;
        // SAFETY:
        // - the iterator is valid, and user-backed by construction, so the copy
        //   is protected against faults and machine checks on either side;
        // - `mapping` and `source_faulted` live across the call.
        let bytes = unsafe {
            shim::linpmem_copy_to_user(mapping.addr(), len, self.iov.as_raw(), &mut source_faulted)
        };
        let errno = if source_faulted {
            Errno::EIO
        } else {
            Errno::EFAULT
        };
        Copied {
            bytes,
            stopped: (bytes < len).then_some(errno),
        }
    }
}

/// Makes exactly one load, which may fault.
pub(crate) fn load(at: *const c_void, width: Width) -> Result<u64, Errno> {
    let mut value = 0;
    // SAFETY: The load survives any fault, so `at` may be any address; `value` is
    // written before the shim returns 0.
    match unsafe { shim::linpmem_load(at, width.bytes() as u32, &mut value) } {
        0 => Ok(value),
        _ => Err(Errno::EIO),
    }
}

impl Transfer for UserBuffer<'_, '_> {
    fn copy(&mut self, route: Route, start: u64, len: usize) -> Result<Copied, Errno> {
        let mapping = Mapping::new(route, start, len)?;
        Ok(match route {
            Route::DirectMap | Route::Image | Route::Alias | Route::Firmware | Route::Rom => {
                self.copy_memory(&mapping, len)
            }
            Route::Device { .. } => {
                device_memory::copy(&mapping, start, len, |bytes| self.iov.copy_to_iter(bytes))
            }
        })
    }

    fn make_present(&mut self, len: usize) -> Result<(), Errno> {
        // SAFETY: The iterator is valid.
        let missing = unsafe { bindings::fault_in_iov_iter_writeable(self.iov.as_raw(), len) };
        if missing < len {
            Ok(())
        } else {
            Err(Errno::EFAULT)
        }
    }

    fn take_back(&mut self, len: usize) {
        // SAFETY: The iterator is valid, and the core takes back what it has filled.
        unsafe { bindings::iov_iter_revert(self.iov.as_raw(), len) };
    }

    fn zero(&mut self, len: usize) -> Copied {
        // SAFETY: The iterator is valid.
        let bytes = unsafe { bindings::iov_iter_zero(len, self.iov.as_raw()) };
        Copied {
            bytes,
            stopped: (bytes < len).then_some(Errno::EFAULT),
        }
    }
}

/// Copies from the caller's memory.
pub(crate) fn read_user(addr: u64, out: &mut [u8]) -> Result<(), Errno> {
    UserSlice::new(UserPtr::from_addr(addr as usize), out.len())
        .reader()
        .read_slice(out)
        .map_err(|_| Errno::EFAULT)
}

/// Copies to the caller's memory.
pub(crate) fn write_user(addr: u64, bytes: &[u8]) -> Result<(), Errno> {
    UserSlice::new(UserPtr::from_addr(addr as usize), bytes.len())
        .writer()
        .write_slice(bytes)
        .map_err(|_| Errno::EFAULT)
}

/// Runs `fill` on the caller's buffer of `len` bytes at `addr`.
pub(crate) fn with_buffer(
    addr: u64,
    len: u64,
    fill: impl for<'b> FnOnce(&mut UserBuffer<'b, 'b>, usize) -> Result<usize, Errno>,
) -> Result<usize, Errno> {
    let iter = Opaque::<bindings::iov_iter>::uninit();
    // SAFETY: The shim initialises the iterator if it returns 0.
    to_result(unsafe { shim::linpmem_user_buffer(iter.get(), addr, len) })
        .map_err(|_| Errno::EFAULT)?;
    // SAFETY: The iterator is initialised for writing to the caller's memory, and
    // lives until the end of this function.
    let iov = unsafe { IovIterDest::from_raw(iter.get()) };
    // The kernel may have shortened it to the longest transfer of one system call.
    let len = iov.len();
    let mut buffer = UserBuffer::new(iov).ok_or(Errno::EINVAL)?;
    fill(&mut buffer, len)
}
