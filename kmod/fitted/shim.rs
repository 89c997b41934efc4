// SPDX-License-Identifier: GPL-2.0-only
//! The functions that the other shell has in C: ../rfl/shim.h says what each does.

use crate::facts::{fact, offset};
use crate::linpmem_core::layout::{ABSENT, PG_LEVEL_4K, XEN_PV_DOMAIN};
use crate::{bindings, descriptors, task, user};
use core::ffi::{c_int, c_void};
use core::ptr;
use core::sync::atomic::{AtomicU64, Ordering};

/// Page-table bits (arch/x86/include/asm/pgtable_types.h).
const PRESENT: u64 = 1 << 0;
const WRITE_THROUGH: u64 = 1 << 3;
const UNCACHED: u64 = 1 << 4;
const ACCESSED: u64 = 1 << 5;
/// The third bit of the memory type of a page of 4 KiB.
const TYPE_4K: u64 = 1 << 7;
/// The same of a larger page.
const TYPE_LARGE: u64 = 1 << 12;
const NO_EXECUTE: u64 = 1 << 63;

/// VM_MAP (include/linux/vmalloc.h).
const VM_MAP: u64 = 4;

/// Numbers of processor features (arch/x86/include/asm/cpufeatures.h), as word and bit.
const FEATURE_HYPERVISOR: (usize, u32) = (4, 31);
const FEATURE_PTI: (usize, u32) = (7, 11);
const FEATURE_ERMS: (usize, u32) = (9, 9);

/// What the kernel uses of the processor's features.
fn has_feature((word, bit): (usize, u32)) -> bool {
    // SAFETY: The array has at least 19 words on every kernel, and is fixed at boot.
    let word = unsafe {
        (&raw const bindings::boot_cpu_data)
            .byte_add(offset!(cpu_capability))
            .cast::<u32>()
            .add(word)
            .read()
    };
    word >> bit & 1 != 0
}

/// Whether the string instructions are fast, and survive machine checks.
pub(crate) fn has_fast_strings() -> bool {
    has_feature(FEATURE_ERMS)
}

pub(crate) unsafe fn linpmem_phys_bits() -> u32 {
    // SAFETY: A field that is fixed at boot.
    let bits = unsafe {
        (&raw const bindings::boot_cpu_data)
            .byte_add(offset!(cpu_phys_bits))
            .read()
    };
    u32::from(bits)
}

pub(crate) unsafe fn linpmem_paging_levels() -> u32 {
    user::paging_levels()
}

pub(crate) unsafe fn linpmem_encryption_mask() -> u64 {
    // SAFETY: Fixed at boot.
    unsafe { bindings::sme_me_mask }
}

pub(crate) unsafe fn linpmem_is_xen_pv() -> bool {
    // SAFETY: Fixed at boot.
    unsafe { bindings::xen_domain_type == XEN_PV_DOMAIN }
}

pub(crate) unsafe fn linpmem_is_isolated() -> bool {
    has_feature(FEATURE_PTI)
}

/// Kernels before 5.16 have no general answer, and support no such guests but AMD's: those
/// have encrypted memory and a hypervisor.
pub(crate) unsafe fn linpmem_is_confidential() -> bool {
    match fact!(cc_guest_mem_encrypt) {
        // SAFETY: Fixed at boot.
        ABSENT => has_feature(FEATURE_HYPERVISOR) && unsafe { bindings::sme_me_mask } != 0,
        // SAFETY: May be called at any time.
        attribute => unsafe { bindings::cc_platform_has(attribute) },
    }
}

pub(crate) unsafe fn linpmem_vmcoreinfo_addr() -> u64 {
    // SAFETY: May be called at any time.
    unsafe { bindings::paddr_vmcoreinfo_note() }
}

pub(crate) unsafe fn linpmem_vmcoreinfo_len() -> u64 {
    // SAFETY: As above.
    match unsafe { bindings::paddr_vmcoreinfo_note() } {
        0 => 0,
        _ => u64::from(fact!(vmcoreinfo_len)),
    }
}

pub(crate) unsafe fn linpmem_direct_map(phys: u64) -> *const c_void {
    // SAFETY: Fixed at boot.
    let base = unsafe { bindings::page_offset_base };
    base.wrapping_add(phys) as *const c_void
}

pub(crate) unsafe fn linpmem_ram_page(pfn: u64) -> u32 {
    match descriptors::online(pfn) {
        None => 1,
        Some(page) if page.is_poisoned() => 4,
        Some(page) if page.is_offline() => 2,
        Some(page) if page.is_unaccepted() => 3,
        Some(_) => 0,
    }
}

pub(crate) unsafe fn linpmem_first_lost(pfn: u64, end: u64) -> u64 {
    (pfn..end)
        .find(|&pfn| {
            let page = descriptors::descriptor(pfn);
            page.is_poisoned() || page.is_offline()
        })
        .unwrap_or(end)
}

pub(crate) unsafe fn linpmem_map_ram_page(pfn: u64) -> *mut c_void {
    let Some(page) = descriptors::online(pfn) else {
        return ptr::null_mut();
    };
    let pages = [page.as_ptr()];
    // SAFETY: One page that is online, mapped for reading alone.
    unsafe {
        let protection = PRESENT | ACCESSED | NO_EXECUTE | bindings::sme_me_mask;
        bindings::vmap(pages.as_ptr(), 1, VM_MAP, protection)
    }
}

pub(crate) unsafe fn linpmem_unmap_ram_page(mapping: *mut c_void) {
    // SAFETY: As the caller promises.
    unsafe { bindings::vunmap(mapping) };
}

pub(crate) unsafe fn linpmem_is_cached(mapping: *const c_void, pages: usize) -> bool {
    (0..pages).all(|page| is_cached_page(mapping as u64 + (page as u64) * 4096))
}

/// Write-back is the type without any of these bits. The bits of a large page, by which the
/// kernel can map a run of pages, are others.
fn is_cached_page(addr: u64) -> bool {
    let mut level = 0;
    // SAFETY: Takes any address. The mapping exists, so its entry does.
    unsafe {
        let entry = bindings::lookup_address(addr, &mut level);
        if entry.is_null() {
            return false;
        }
        let entry = entry.read_volatile();
        let memory_type = match level {
            PG_LEVEL_4K => WRITE_THROUGH | UNCACHED | TYPE_4K,
            _ => WRITE_THROUGH | UNCACHED | TYPE_LARGE,
        };
        entry & PRESENT != 0 && entry & memory_type == 0
    }
}

/// The firmware's table of memory that was not accepted.
fn unaccepted_table() -> Option<*const u8> {
    if fact!(efi_unaccepted) == ABSENT {
        return None;
    }
    // SAFETY: A field that is fixed at boot, and the direct map of where it points.
    unsafe {
        let phys = (&raw const bindings::efi)
            .byte_add(offset!(efi_unaccepted))
            .cast::<u64>()
            .read();
        // EFI_INVALID_TABLE_ADDR
        (phys != u64::MAX).then(|| linpmem_direct_map(phys).cast())
    }
}

pub(crate) unsafe fn linpmem_unaccepted_units(
    base: *mut u64,
    unit_bytes: *mut u64,
    bits: *mut u64,
) -> bool {
    let Some(table) = unaccepted_table() else {
        return false;
    };
    // SAFETY: The table exists, and the caller's pointers are valid.
    unsafe {
        let at = |offset: usize| table.byte_add(offset);
        *base = at(offset!(unaccepted_phys_base)).cast::<u64>().read();
        let unit = at(offset!(unaccepted_unit_size)).cast::<u32>().read();
        *unit_bytes = u64::from(unit);
        let bytes = at(offset!(unaccepted_size)).cast::<u64>().read();
        *bits = bytes.saturating_mul(8);
    }
    true
}

pub(crate) unsafe fn linpmem_is_unaccepted(unit: u64) -> bool {
    unaccepted_table().is_none_or(|table| {
        let at = offset!(unaccepted_bitmap) + (unit / 64) as usize * 8;
        // SAFETY: The bitmap has the bit, as the caller promises. The kernel changes it
        // at any time.
        let word = unsafe { &*table.byte_add(at).cast::<AtomicU64>() };
        word.load(Ordering::Relaxed) >> (unit % 64) & 1 != 0
    })
}

pub(crate) unsafe fn linpmem_yield() -> bool {
    // SAFETY: The core runs only in system calls and holds no lock.
    unsafe { bindings::__cond_resched() };
    task::current().is_signalled()
}

pub(crate) fn locked_down() -> bool {
    // SAFETY: May be called at any time.
    unsafe { bindings::security_locked_down(fact!(lockdown_dev_mem) as c_int) != 0 }
}

pub(crate) fn is_user(uid: u32) -> bool {
    uid != u32::MAX && task::current().user() == uid
}

pub(crate) unsafe fn linpmem_page_table(pid: i32, root: *mut u64) -> c_int {
    const ESRCH: c_int = 3;
    let Some(virt) = task::page_table(pid) else {
        return -ESRCH;
    };
    // SAFETY: The caller's pointer is valid, and the base is fixed at boot.
    unsafe { *root = virt.wrapping_sub(bindings::page_offset_base) };
    0
}
