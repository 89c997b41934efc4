// SPDX-License-Identifier: GPL-2.0-only
//! What the shell does on arm64 alone.

use crate::linpmem_core::access::Width;
use crate::linpmem_core::kernel::PAGE_SIZE;
use crate::linpmem_core::page::Region;
use crate::linpmem_core::vmcoreinfo::Keys;
use crate::linpmem_core::walk::{arm64, Outcome, Paging};
use crate::linpmem_core::{abi, Errno};
use crate::running::{IORESOURCE_BUSY, IORESOURCE_MEM};
use crate::transfer::load;
use crate::{resources, shim};
use core::ffi::c_void;

/// What INFO calls it.
pub(crate) const ARCHITECTURE: u32 = abi::ARCHITECTURE_ARM64;

/// How virtual addresses are translated: what the registers say now. The kernel sets all of
/// it before it starts the first process, but for the task's own table.
fn registers() -> Result<arm64::Paging, Errno> {
    // SAFETY: Each reads a register or a value that is fixed at boot.
    let registers = unsafe {
        arm64::Registers {
            tcr: shim::linpmem_tcr(),
            ttbr1: shim::linpmem_ttbr1(),
            indirect_rights: shim::linpmem_has_indirect_rights(),
            hidden: shim::linpmem_hidden_bits(),
        }
    };
    arm64::Paging::of_registers(&registers)
}

/// How virtual addresses are translated.
pub(crate) fn paging() -> Result<Paging, Errno> {
    registers().map(Paging::Arm64)
}

/// Whether devices can be mapped: a load from one that does not answer stops the machine.
pub(crate) const MAPS_DEVICES: bool = false;

/// Bits of a physical address: those that page tables can hold.
pub(crate) fn phys_bits() -> u32 {
    registers().map_or(0, |paging| paging.output_bits)
}

/// Levels of the tables of user space. The kernel's can have others.
pub(crate) fn paging_levels() -> u32 {
    registers().map_or(0, |paging| paging.lower.levels())
}

/// Memory is not encrypted by page.
pub(crate) fn encryption_mask() -> u64 {
    0
}

/// Virtual minus physical address of what the direct map maps. It is not the address of
/// physical address 0, which the direct map need not have.
pub(crate) fn direct_map_base() -> u64 {
    // SAFETY: Reads a value that is fixed at boot.
    unsafe { shim::linpmem_direct_map_offset() }
}

/// The physical address that the kernel's image would have at virtual address 0.
pub(crate) fn phys_base() -> u64 {
    // SAFETY: Reads a value that is fixed at boot.
    unsafe { shim::linpmem_image_offset() }.wrapping_neg()
}

/// Physical address of the kernel's own top page table: TTBR1.
pub(crate) fn kernel_page_table(_keys: &Keys) -> Option<u64> {
    registers().ok().map(|paging| paging.kernel_root)
}

/// With isolation, user mode has another table in TTBR1, of a few pages that are of no use
/// to anyone.
pub(crate) fn is_isolated() -> bool {
    false
}

/// The address of a page in the mapping of the kernel's image, if it is there. Since Linux
/// 7.3 the direct map lacks the kernel's data.
///
/// The kernel exports no symbol that says where the image ends, so its page tables have to.
pub(crate) fn image_address(page: u64) -> Option<*const c_void> {
    let paging = registers().ok()?;
    // SAFETY: Reads a value that is fixed at boot.
    let virt = page.wrapping_add(unsafe { shim::linpmem_image_offset() });
    if !arm64::is_upper(virt) {
        return None;
    }
    let walk = paging.walk(paging.kernel_root, virt, |addr| {
        // SAFETY: Computes an address and reads nothing. The kernel's tables are in the
        // direct map.
        let at = unsafe { shim::linpmem_direct_map(addr) };
        load(at, Width::Qword)
    });
    match walk.ok()?.outcome {
        Outcome::Mapped {
            phys,
            no_access: false,
            ..
        } if phys == page => Some(virt as *const c_void),
        _ => None,
    }
}

/// See [`MAPS_DEVICES`].
pub(crate) fn map_device(_page: u64, _size: usize, _cached: bool) -> *mut c_void {
    core::ptr::null_mut()
}

/// What the firmware and the resource tree say about a page without System RAM.
///
/// The kernel calls memory that it does not map `reserved`, without a description, and the
/// names of entries cannot be read. So only memory that UEFI keeps for itself and calls
/// cacheable is read, unless a driver has claimed it.
pub(crate) fn region(page: u64) -> Region {
    // SAFETY: Reads the firmware's memory map, which is fixed at boot.
    let is_firmware =
        unsafe { shim::linpmem_is_efi_memory(page) && !shim::linpmem_is_confidential() };
    if is_firmware && !is_claimed(page) {
        Region::Firmware
    } else {
        Region::Other
    }
}

/// Whether a driver has claimed the page or a part of it.
fn is_claimed(page: u64) -> bool {
    let mut found = false;
    let last = page.saturating_add(PAGE_SIZE - 1);
    let flags = IORESOURCE_MEM | IORESOURCE_BUSY;
    resources::walk(resources::desc_none(), flags, page, last, |_| {
        found = true;
        false
    });
    found
}
