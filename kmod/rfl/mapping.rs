// SPDX-License-Identifier: GPL-2.0-only
//! A kernel address for a physical one, for as long as it is needed.

use crate::linpmem_core::classify::Route;
use crate::linpmem_core::kernel::PAGE_SIZE;
use crate::linpmem_core::Errno;
use crate::shim;
use core::ffi::c_void;
use kernel::bindings;

/// A mapping that reaches the byte at one physical address and the rest of its
/// page; of the direct map, all RAM.
///
/// # Invariants
/// `base` is what the kernel's function for `undo` gave; `addr` lies in it. The
/// memory behind it may fail under any access.
pub(crate) struct Mapping {
    base: *mut c_void,
    addr: *const c_void,
    undo: Undo,
}

enum Undo {
    Nothing,
    Memunmap,
    Iounmap,
    UnmapRamPage,
}

impl Mapping {
    /// Maps the page of `phys` by `route`, which the core chose: the route says
    /// that the kernel's warnings about RAM and about addresses beyond the
    /// processor's do not apply.
    ///
    /// # Errors
    /// `EACCES` if the kernel has the page mapped with another memory type or
    /// does not take it for memory; `EIO` if RAM cannot be mapped.
    pub(crate) fn new(route: Route, phys: u64) -> Result<Self, Errno> {
        let page = phys & !(PAGE_SIZE - 1);
        let size = PAGE_SIZE as usize;
        // SAFETY:
        // - `linpmem_direct_map` computes an address and reads nothing;
        // - `memremap` and `ioremap*` get one whole page below the last physical
        //   address that holds no System RAM;
        // - `linpmem_map_ram_page` takes any page frame.
        let (base, undo) = unsafe {
            match route {
                Route::DirectMap => (shim::linpmem_direct_map(page).cast_mut(), Undo::Nothing),
                Route::Alias => (
                    shim::linpmem_map_ram_page(page / PAGE_SIZE),
                    Undo::UnmapRamPage,
                ),
                Route::Firmware => (
                    bindings::memremap(page, size, bindings::MEMREMAP_WB as _),
                    Undo::Memunmap,
                ),
                Route::Device { cached: true } => {
                    (bindings::ioremap_cache(page, size as _), Undo::Iounmap)
                }
                Route::Device { cached: false } => {
                    (bindings::ioremap(page, size as _), Undo::Iounmap)
                }
            }
        };
        if base.is_null() {
            return Err(match route {
                Route::DirectMap | Route::Alias => Errno::EIO,
                Route::Firmware | Route::Device { .. } => Errno::EACCES,
            });
        }
        // INVARIANT: `base` is not null, so it is a mapping of the page, and the
        // offset lies within that page.
        let addr = base.wrapping_byte_add((phys - page) as usize);
        Ok(Self { base, addr, undo })
    }

    /// The kernel address of the byte.
    pub(crate) fn addr(&self) -> *const c_void {
        self.addr
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: By the invariants each gets what its counterpart gave, once.
        unsafe {
            match self.undo {
                Undo::Nothing => {}
                Undo::Memunmap => bindings::memunmap(self.base),
                Undo::Iounmap => bindings::iounmap(self.base),
                Undo::UnmapRamPage => shim::linpmem_unmap_ram_page(self.base),
            }
        }
    }
}
