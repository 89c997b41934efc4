// SPDX-License-Identifier: GPL-2.0-only
//! Temporary kernel mappings of physical pages.

use crate::linpmem_core::classify::Route;
use crate::linpmem_core::kernel::PAGE_SIZE;
use crate::linpmem_core::layout::MEMREMAP_WB;
use crate::linpmem_core::Errno;
use crate::{arch, bindings, shim};
use core::ffi::c_void;

/// A mapping of the pages that hold a range of physical addresses. In the direct map it
/// reaches all of RAM.
///
/// # Invariants
/// `base` was returned by the kernel function that `unmap` undoes, and `addr`
/// lies within the first page of that mapping. Any access to the memory behind it may fault.
pub(crate) struct Mapping {
    base: *mut c_void,
    addr: *const c_void,
    unmap: Unmap,
}

/// How to release a mapping.
enum Unmap {
    Nothing,
    Memunmap,
    Iounmap,
    UnmapRamPage,
}

impl Mapping {
    /// Maps the pages of the `len` bytes at `phys` by `route`. The core chose the route, so
    /// these are pages for which the kernel's warnings (about RAM, and about addresses
    /// that the processor does not have) cannot trigger.
    ///
    /// # Errors
    /// `EIO` if a page of RAM cannot be mapped, `EACCES` if another page cannot, or
    /// firmware memory is not cached.
    pub(crate) fn new(route: Route, phys: u64, len: usize) -> Result<Self, Errno> {
        let page = phys & !(PAGE_SIZE - 1);
        let pages = ((phys - page) as usize + len).div_ceil(PAGE_SIZE as usize);
        let size = pages * PAGE_SIZE as usize;
        // SAFETY:
        // - `linpmem_direct_map` computes an address and reads nothing;
        // - `memremap` and `map_device` are given whole pages that hold no System RAM and
        //   lie below the processor's last physical address;
        // - `linpmem_map_ram_page` takes any page frame number.
        let (base, unmap) = unsafe {
            match route {
                Route::DirectMap => (shim::linpmem_direct_map(page).cast_mut(), Unmap::Nothing),
                Route::Image => {
                    let image = arch::image_address(page).unwrap_or(core::ptr::null());
                    (image.cast_mut(), Unmap::Nothing)
                }
                Route::Alias => (
                    shim::linpmem_map_ram_page(page / PAGE_SIZE),
                    Unmap::UnmapRamPage,
                ),
                Route::Firmware | Route::Rom => (
                    bindings::memremap(page, size, MEMREMAP_WB as _),
                    Unmap::Memunmap,
                ),
                Route::Device { cached } => (arch::map_device(page, size, cached), Unmap::Iounmap),
            }
        };
        if base.is_null() {
            return Err(match route {
                Route::DirectMap | Route::Image | Route::Alias => Errno::EIO,
                Route::Firmware | Route::Rom | Route::Device { .. } => Errno::EACCES,
            });
        }
        // INVARIANT: `base` is not null, so it maps the pages, and the offset lies
        // within the first.
        let addr = base.wrapping_byte_add((phys - page) as usize);
        let mapping = Self { base, addr, unmap };
        // The kernel does not refuse to map registers as memory: it silently gives them
        // the memory type that the processor or their driver has for them.
        // SAFETY: Looks up the pages' entries in the kernel's page table, and reads nothing
        // behind them.
        if route == Route::Firmware && !unsafe { shim::linpmem_is_cached(base, pages) } {
            return Err(Errno::EACCES);
        }
        Ok(mapping)
    }

    /// The kernel address of the byte at the physical address that was mapped.
    pub(crate) fn addr(&self) -> *const c_void {
        self.addr
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: By the type's invariants `base` came from the function that this
        // one undoes, and it is released only here.
        unsafe {
            match self.unmap {
                Unmap::Nothing => {}
                Unmap::Memunmap => bindings::memunmap(self.base),
                Unmap::Iounmap => bindings::iounmap(self.base),
                Unmap::UnmapRamPage => shim::linpmem_unmap_ram_page(self.base),
            }
        }
    }
}
