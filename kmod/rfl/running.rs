// SPDX-License-Identifier: GPL-2.0-only
//! The running kernel as the core sees it.

use crate::linpmem_core::abi::{Info, ABI_VERSION, FEATURE_READ, MODULE_VERSION, UNKNOWN};
use crate::linpmem_core::classify::{PageState, Region};
use crate::linpmem_core::kernel::PAGE_SIZE;
use crate::linpmem_core::{vmcoreinfo, Kernel};
use core::ffi::{c_int, c_void};
use kernel::{bindings, prelude::*};

/// shim.h.
pub(crate) mod shim {
    use kernel::bindings;

    extern "C" {
        pub(crate) fn linpmem_phys_bits() -> u32;
        pub(crate) fn linpmem_paging_levels() -> u32;
        pub(crate) fn linpmem_encryption_mask() -> u64;
        pub(crate) fn linpmem_direct_map(phys: u64) -> *const core::ffi::c_void;
        pub(crate) fn linpmem_ram_page(pfn: u64) -> u32;
        pub(crate) fn linpmem_yield() -> bool;
        pub(crate) fn linpmem_is_user_backed(iter: *const bindings::iov_iter) -> bool;
        pub(crate) fn linpmem_locked_down() -> core::ffi::c_int;
        pub(crate) fn linpmem_vmcoreinfo_addr() -> u64;
        pub(crate) fn linpmem_vmcoreinfo_len() -> u64;
    }
}

/// The kernel that this module is loaded into.
pub(crate) struct RunningKernel;

impl Kernel for RunningKernel {
    fn phys_bits(&self) -> u32 {
        // SAFETY: Reads a value that is fixed at boot.
        unsafe { shim::linpmem_phys_bits() }
    }

    fn next_ram(&self, from: u64, end: u64) -> Option<(u64, u64)> {
        let last = end.checked_sub(1)?;
        let mut found: Option<(u64, u64)> = None;
        // SAFETY:
        // - `first_extent` has the signature that the walk wants and writes only
        //   through `arg`, which points to `found` for the length of this call;
        // - the walk takes the resource lock itself, and may sleep nowhere.
        unsafe {
            bindings::walk_iomem_res_desc(
                bindings::IORES_DESC_NONE as _,
                (bindings::IORESOURCE_SYSTEM_RAM | bindings::IORESOURCE_BUSY) as _,
                from,
                last,
                (&raw mut found).cast::<c_void>(),
                Some(first_extent),
            )
        };
        found
    }

    fn ram_page(&self, page: u64) -> PageState {
        // SAFETY: Takes any page frame number; looks only at the page's descriptor.
        match unsafe { shim::linpmem_ram_page(page / PAGE_SIZE) } {
            0 => PageState::Online,
            2 => PageState::Offline,
            3 => PageState::Unaccepted,
            4 => PageState::Poisoned,
            _ => PageState::NotOnline,
        }
    }

    fn region(&self, page: u64) -> Region {
        const FIRMWARE: [u32; 3] = [
            bindings::IORES_DESC_RESERVED,
            bindings::IORES_DESC_ACPI_TABLES,
            bindings::IORES_DESC_ACPI_NV_STORAGE,
        ];
        let is = |desc: u32| {
            // SAFETY: Walks the resource tree under its lock, for any range.
            let answer = unsafe {
                bindings::region_intersects(
                    page,
                    PAGE_SIZE as usize,
                    bindings::IORESOURCE_MEM as _,
                    desc as _,
                )
            };
            answer as i64 != bindings::REGION_DISJOINT as i64
        };
        if FIRMWARE.into_iter().any(is) {
            Region::Firmware
        } else {
            Region::Other
        }
    }

    fn yield_now(&self) -> bool {
        // SAFETY: Called from system calls only, with no lock held, so the task
        // may sleep here.
        unsafe { shim::linpmem_yield() }
    }
}

/// Notes the first extent of a walk and ends it.
///
/// # Safety
/// `arg` must point to an `Option<(u64, u64)>`, and `res` to a resource.
unsafe extern "C" fn first_extent(res: *mut bindings::resource, arg: *mut c_void) -> c_int {
    // SAFETY: As the caller promises.
    let (res, found) = unsafe { (&*res, &mut *arg.cast::<Option<(u64, u64)>>()) };
    *found = Some((res.start, res.end.saturating_add(1)));
    1
}

/// Copies kernel memory at `addr`, of which nothing is known, to `out`.
pub(crate) fn copy_nofault(addr: *const c_void, out: &mut [u8]) -> Result {
    // SAFETY: `out` can take `out.len()` bytes; the source may be any address,
    // the function returns an error where it faults.
    let status =
        unsafe { bindings::copy_from_kernel_nofault(out.as_mut_ptr().cast(), addr, out.len()) };
    kernel::error::to_result(status as c_int)
}

/// The INFO struct of this module and machine.
pub(crate) fn info() -> Result<Info> {
    // SAFETY: All of them read values that are fixed at boot.
    let (vmcoreinfo_addr, vmcoreinfo_len, encryption_mask, paging_levels, base, phys_base) = unsafe {
        (
            shim::linpmem_vmcoreinfo_addr(),
            shim::linpmem_vmcoreinfo_len(),
            shim::linpmem_encryption_mask(),
            shim::linpmem_paging_levels(),
            shim::linpmem_direct_map(0),
            bindings::phys_base,
        )
    };
    let text = vmcoreinfo_text(vmcoreinfo_addr, vmcoreinfo_len)?;
    Ok(Info {
        size: core::mem::size_of::<Info>() as u32,
        abi_version: ABI_VERSION,
        features: FEATURE_READ,
        module_version: MODULE_VERSION,
        phys_bits: RunningKernel.phys_bits(),
        paging_levels,
        reserved: 0,
        page_offset_base: base as u64,
        phys_base: phys_base as u64,
        kaslr_offset: vmcoreinfo::kaslr_offset(&text).unwrap_or(UNKNOWN),
        kernel_page_table: vmcoreinfo::kernel_page_table(&text, phys_base as u64)
            .unwrap_or(UNKNOWN),
        vmcoreinfo_addr,
        vmcoreinfo_len,
        encryption_mask,
    })
}

/// The VMCOREINFO note, its header included: keys are found at line starts, and
/// the header ends in zeros, so the first line alone may be hidden by it.
fn vmcoreinfo_text(addr: u64, len: u64) -> Result<KVec<u8>> {
    let len = usize::try_from(len).unwrap_or(0).min(PAGE_SIZE as usize);
    let mut text = KVec::from_elem(0u8, len, GFP_KERNEL)?;
    if addr != 0 {
        // SAFETY: Computes an address, reads nothing.
        let virt = unsafe { shim::linpmem_direct_map(addr) };
        copy_nofault(virt, &mut text)?;
    }
    Ok(text)
}
