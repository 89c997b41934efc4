// SPDX-License-Identifier: GPL-2.0-only
//! The VMCOREINFO note.

use crate::linpmem_core::kernel::PAGE_SIZE;
use crate::linpmem_core::vmcoreinfo::Keys;
use crate::linpmem_core::Errno;
use crate::{arch, shim};
use core::ffi::c_void;
use kernel::{bindings, prelude::*};

/// What it says.
pub(crate) fn keys() -> Result<Keys, Errno> {
    // SAFETY: These functions read values that are fixed at boot.
    let (addr, len) = unsafe {
        (
            shim::linpmem_vmcoreinfo_addr(),
            shim::linpmem_vmcoreinfo_len(),
        )
    };
    let len = usize::try_from(len).unwrap_or(0).min(PAGE_SIZE as usize);
    let mut text = KVec::from_elem(0u8, len, GFP_KERNEL).map_err(|_| Errno::ENOMEM)?;
    if addr != 0 {
        // SAFETY: Computes an address, reads nothing.
        let virt = unsafe { shim::linpmem_direct_map(addr) };
        copy_nofault(virt, &mut text)?;
    }
    Ok(Keys::parse(&text, arch::phys_base()))
}

/// Copies kernel memory at `addr` to `out`; `addr` need not be mapped.
fn copy_nofault(addr: *const c_void, out: &mut [u8]) -> Result<(), Errno> {
    // SAFETY: `out` has room for `out.len()` bytes. The source may be any address:
    // the function returns an error if reading it faults.
    let status =
        unsafe { bindings::copy_from_kernel_nofault(out.as_mut_ptr().cast(), addr, out.len()) };
    match status {
        0 => Ok(()),
        _ => Err(Errno::EFAULT),
    }
}
