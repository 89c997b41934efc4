// SPDX-License-Identifier: GPL-2.0-only
//! What the shells do on x86-64 alone.

use crate::linpmem_core::kernel::PAGE_SIZE;
use crate::linpmem_core::layout::REGION_DISJOINT;
use crate::linpmem_core::page::Region;
use crate::linpmem_core::vmcoreinfo::Keys;
use crate::linpmem_core::walk::{x86, Paging};
use crate::linpmem_core::{abi, resource, Errno};
use crate::running::{IORESOURCE_BUSY, IORESOURCE_MEM};
use crate::{bindings, resources, shim};
use core::ffi::c_void;

/// What INFO calls it.
pub(crate) const ARCHITECTURE: u32 = abi::ARCHITECTURE_X86_64;

/// An entry of the resource tree that is read-only.
const IORESOURCE_READONLY: u64 = 0x4000;

/// How virtual addresses are translated.
pub(crate) fn paging() -> Result<Paging, Errno> {
    // SAFETY: These functions read values that are fixed at boot.
    unsafe {
        if shim::linpmem_is_xen_pv() {
            return Err(Errno::EOPNOTSUPP);
        }
        Ok(Paging::X86(x86::Paging {
            levels: shim::linpmem_paging_levels(),
            phys_bits: shim::linpmem_phys_bits(),
            encryption_mask: shim::linpmem_encryption_mask(),
        }))
    }
}

/// Whether devices can be mapped.
pub(crate) const MAPS_DEVICES: bool = true;

/// Bits of a physical address.
pub(crate) fn phys_bits() -> u32 {
    // SAFETY: Reads a value that is fixed at boot.
    unsafe { shim::linpmem_phys_bits() }
}

/// Levels of the page tables, even where they hold no physical addresses.
pub(crate) fn paging_levels() -> u32 {
    // SAFETY: Reads a value that is fixed at boot.
    unsafe { shim::linpmem_paging_levels() }
}

/// The bit of an entry that marks encrypted memory, or 0.
pub(crate) fn encryption_mask() -> u64 {
    // SAFETY: Reads a value that is fixed at boot.
    unsafe { shim::linpmem_encryption_mask() }
}

/// Virtual address of physical address 0 in the direct map.
pub(crate) fn direct_map_base() -> u64 {
    // SAFETY: Computes an address and reads nothing.
    unsafe { shim::linpmem_direct_map(0) as u64 }
}

/// Physical address of the start of the kernel's text mapping, two's complement.
pub(crate) fn phys_base() -> u64 {
    // SAFETY: Fixed at boot.
    unsafe { bindings::phys_base as u64 }
}

/// Physical address of the kernel's own top page table.
pub(crate) fn kernel_page_table(keys: &Keys) -> Option<u64> {
    keys.kernel_page_table
}

/// Whether user mode has a top page table of its own.
pub(crate) fn is_isolated() -> bool {
    // SAFETY: Reads a value that is fixed at boot.
    unsafe { shim::linpmem_is_isolated() }
}

/// The kernel's image has a second mapping here, but the direct map lacks nothing of it.
pub(crate) fn image_address(_page: u64) -> Option<*const c_void> {
    None
}

/// Maps memory of a device.
pub(crate) fn map_device(page: u64, size: usize, cached: bool) -> *mut c_void {
    // SAFETY: Whole pages that hold no System RAM and lie below the processor's last
    // physical address, as the core chose them.
    unsafe {
        match cached {
            true => bindings::ioremap_cache(page, size as _),
            false => bindings::ioremap(page, size as _),
        }
    }
}

/// What the resource tree says about a page without System RAM.
pub(crate) fn region(page: u64) -> Region {
    let is_firmware = resources::firmware()
        .into_iter()
        .filter(|desc| *desc != resources::desc_reserved() || !is_confidential())
        .any(|desc| has_firmware(page, desc));
    if resource::is_fabric(page) {
        return Region::Other;
    }
    match inhabitants(page) {
        Inhabitants { device: true, .. } => Region::Other,
        Inhabitants { rom: true, .. } => Region::Rom,
        Inhabitants { .. } if is_firmware => Region::Firmware,
        Inhabitants { .. } => Region::Other,
    }
}

/// Whether this is a confidential virtual machine. What its firmware reserves can be
/// devices that the hypervisor emulates, and touching those as memory ends the machine.
fn is_confidential() -> bool {
    // SAFETY: Reads a value that is fixed at boot.
    unsafe { shim::linpmem_is_confidential() }
}

/// Whether the page has a resource with this description.
fn has_firmware(page: u64, desc: u32) -> bool {
    // SAFETY: Walks the resource tree under its lock, for any range.
    let answer = unsafe {
        bindings::region_intersects(page, PAGE_SIZE as usize, IORESOURCE_MEM as _, desc as _)
    };
    answer as i64 != i64::from(REGION_DISJOINT)
}

/// What there is in or around a page besides memory that the firmware reserves.
#[derive(Clone, Copy, Default)]
struct Inhabitants {
    device: bool,
    rom: bool,
}

/// Looks at the page's entries in the resource tree.
///
/// A walk finds the outermost entry of a kind and then goes on behind it, so that what
/// lies within stays unseen. So there is one walk over all entries, and one over those
/// that a driver has claimed, which `Reserved` has not. A device that neither finds is
/// recognised by its memory type: see [`mapping`](crate::mapping).
fn inhabitants(page: u64) -> Inhabitants {
    let mut found = Inhabitants::default();
    let last = page.saturating_add(PAGE_SIZE - 1);
    for flags in [IORESOURCE_MEM, IORESOURCE_MEM | IORESOURCE_BUSY] {
        resources::walk(resources::desc_none(), flags, page, last, |entry| {
            if entry.flags & IORESOURCE_READONLY != 0 {
                found.rom = true;
            } else if !resources::firmware().contains(&entry.desc) {
                found.device = true;
            }
            true
        });
    }
    found
}
