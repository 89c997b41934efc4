// SPDX-License-Identifier: GPL-2.0-only
//! The declarations of shim.h, for Rust.

use core::ffi::{c_int, c_void};
use kernel::bindings::iov_iter;

extern "C" {
    pub(crate) fn linpmem_is_confidential() -> bool;
    pub(crate) fn linpmem_vmcoreinfo_addr() -> u64;
    pub(crate) fn linpmem_vmcoreinfo_len() -> u64;

    pub(crate) fn linpmem_direct_map(phys: u64) -> *const c_void;
    pub(crate) fn linpmem_ram_page(pfn: u64) -> u32;
    pub(crate) fn linpmem_first_lost(pfn: u64, end: u64) -> u64;
    pub(crate) fn linpmem_map_ram_page(pfn: u64) -> *mut c_void;
    pub(crate) fn linpmem_unmap_ram_page(mapping: *mut c_void);
    pub(crate) fn linpmem_is_cached(mapping: *const c_void, pages: usize) -> bool;
    pub(crate) fn linpmem_unaccepted_units(
        base: *mut u64,
        unit_bytes: *mut u64,
        bits: *mut u64,
    ) -> bool;
    pub(crate) fn linpmem_is_unaccepted(unit: u64) -> bool;
    pub(crate) fn linpmem_load(addr: *const c_void, width: u32, value: *mut u64) -> c_int;

    pub(crate) fn linpmem_yield() -> bool;
    pub(crate) fn linpmem_locked_down() -> c_int;
    pub(crate) fn linpmem_is_user(uid: u32) -> bool;
    pub(crate) fn linpmem_page_table(pid: i32, root: *mut u64) -> c_int;

    pub(crate) fn linpmem_is_user_backed(iter: *const iov_iter) -> bool;
    pub(crate) fn linpmem_user_buffer(iter: *mut iov_iter, addr: u64, len: u64) -> c_int;

    pub(crate) fn linpmem_choose_copy(choice: u32) -> c_int;
    pub(crate) fn linpmem_copy_to_user(
        from: *const c_void,
        len: usize,
        iter: *mut iov_iter,
        source_faulted: *mut bool,
    ) -> usize;

    pub(crate) fn linpmem_watch_memory() -> c_int;
    pub(crate) fn linpmem_unwatch_memory();
    pub(crate) fn linpmem_hold_memory() -> c_int;
    pub(crate) fn linpmem_release_memory(held: c_int);
}

#[cfg(CONFIG_X86_64)]
extern "C" {
    pub(crate) fn linpmem_phys_bits() -> u32;
    pub(crate) fn linpmem_paging_levels() -> u32;
    pub(crate) fn linpmem_encryption_mask() -> u64;
    pub(crate) fn linpmem_is_xen_pv() -> bool;
    pub(crate) fn linpmem_is_isolated() -> bool;
}

#[cfg(CONFIG_ARM64)]
extern "C" {
    pub(crate) fn linpmem_tcr() -> u64;
    pub(crate) fn linpmem_ttbr1() -> u64;
    pub(crate) fn linpmem_has_indirect_rights() -> bool;
    pub(crate) fn linpmem_hidden_bits() -> u64;
    pub(crate) fn linpmem_direct_map_offset() -> u64;
    pub(crate) fn linpmem_image_offset() -> u64;
    pub(crate) fn linpmem_is_efi_memory(phys: u64) -> bool;
}
