// SPDX-License-Identifier: GPL-2.0-only
//! The VMCOREINFO note, which the kernel writes at boot.

use crate::linpmem_core::kernel::PAGE_SIZE;
use crate::linpmem_core::vmcoreinfo::{self, Keys};
use crate::linpmem_core::Errno;
use crate::{bindings, facts, log, shim};
use core::cell::UnsafeCell;

/// What it says.
struct Found(UnsafeCell<Keys>);

// SAFETY: `read` writes it before the device exists, and nobody writes it afterwards.
unsafe impl Sync for Found {}

static FOUND: Found = Found(UnsafeCell::new(Keys {
    kaslr_offset: None,
    kernel_page_table: None,
}));

/// The note's text, as long as the module is being loaded.
struct Text(UnsafeCell<[u8; PAGE_SIZE as usize]>);

// SAFETY: Only `read` uses it.
unsafe impl Sync for Text {}

#[link_section = ".init.data"]
static TEXT: Text = Text(UnsafeCell::new([0; PAGE_SIZE as usize]));

/// Reads the note, and refuses to run in a kernel that the module was not fitted to. Called
/// once, while the module is being loaded.
pub(crate) fn read() -> Result<(), Errno> {
    // SAFETY: These functions read values that are fixed at boot, or compute an address;
    // the copy fails where nothing is mapped.
    unsafe {
        let addr = shim::linpmem_vmcoreinfo_addr();
        let len = shim::linpmem_vmcoreinfo_len().min(PAGE_SIZE) as usize;
        if addr == 0 {
            return Ok(());
        }
        let text = &mut *TEXT.0.get();
        let virt = shim::linpmem_direct_map(addr);
        if bindings::copy_from_kernel_nofault(text.as_mut_ptr().cast(), virt, len) != 0 {
            return Err(Errno::EFAULT);
        }
        let text = text.get(..len).unwrap_or(&[]);
        if vmcoreinfo::release(text).is_some_and(|running| !facts::are_of(running)) {
            log(c"\x013linpmem: this module was fitted to another kernel: see linpmem-fit\n");
            return Err(Errno::ENOEXEC);
        }
        *FOUND.0.get() = Keys::parse(text, bindings::phys_base);
    }
    Ok(())
}

/// What the note says.
pub(crate) fn keys() -> Result<Keys, Errno> {
    // SAFETY: Nobody writes it any more.
    Ok(unsafe { *FOUND.0.get() })
}
