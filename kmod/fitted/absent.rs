// SPDX-License-Identifier: GPL-2.0-only
//! What stands for exports that a kernel can lack. Fitting redirects an import called NAME
//! to `linpmem_without_NAME` if the kernel does not export it.

use core::ffi::{c_int, c_uint, c_ulong, c_void};
use core::ptr;

/// A kernel without return thunks: its functions return as they always did.
macro_rules! thunks {
    ($($register:literal),+) => {
        core::arch::global_asm!(
            ".pushsection .text.linpmem_without, \"ax\"",
            ".global linpmem_without___x86_return_thunk",
            ".type linpmem_without___x86_return_thunk, @function",
            "linpmem_without___x86_return_thunk: ret",
            "int3",
            $(
                concat!(".global linpmem_without___x86_indirect_thunk_", $register),
                concat!(".type linpmem_without___x86_indirect_thunk_", $register, ", @function"),
                concat!("linpmem_without___x86_indirect_thunk_", $register, ": jmp ", $register),
                "int3",
            )+
            ".popsection",
        );
    };
}
thunks!(
    "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "r8", "r9", "r10", "r11", "r12", "r13", "r14",
    "r15"
);

/// Without CONFIG_MEMORY_HOTPLUG, memory is never removed.
#[no_mangle]
#[link_section = ".text.linpmem_without"]
extern "C" fn linpmem_without_register_memory_notifier(_: *mut c_void) -> c_int {
    0
}

#[no_mangle]
#[link_section = ".text.linpmem_without"]
extern "C" fn linpmem_without_unregister_memory_notifier(_: *mut c_void) {}

/// A kernel without CONFIG_SECURITY cannot be locked down.
#[no_mangle]
#[link_section = ".text.linpmem_without"]
extern "C" fn linpmem_without_security_locked_down(_: c_int) -> c_int {
    0
}

/// See [`shim::linpmem_is_confidential`](crate::shim::linpmem_is_confidential).
#[no_mangle]
#[link_section = ".text.linpmem_without"]
extern "C" fn linpmem_without_cc_platform_has(_: c_uint) -> bool {
    false
}

/// A kernel without CONFIG_VMCORE_INFO.
#[no_mangle]
#[link_section = ".text.linpmem_without"]
extern "C" fn linpmem_without_paddr_vmcoreinfo_note() -> u64 {
    0
}

/// Kernels before 5.11 have it as a macro: see [`descriptors`](crate::descriptors).
#[no_mangle]
#[link_section = ".text.linpmem_without"]
extern "C" fn linpmem_without_pfn_to_online_page(_: c_ulong) -> *const c_void {
    ptr::null()
}

/// A kernel without CONFIG_AMD_MEM_ENCRYPT.
#[no_mangle]
#[link_section = ".data.linpmem_without"]
#[allow(non_upper_case_globals)]
static linpmem_without_sme_me_mask: u64 = 0;

/// A kernel without CONFIG_XEN: XEN_NATIVE.
#[no_mangle]
#[link_section = ".data.linpmem_without"]
#[allow(non_upper_case_globals)]
static linpmem_without_xen_domain_type: c_uint = 0;

/// Only read where the fact `efi_unaccepted` says that the struct has the field.
#[no_mangle]
#[link_section = ".data.linpmem_without"]
#[allow(non_upper_case_globals)]
static linpmem_without_efi: u64 = 0;

/// Only read where the kernel lacks `pfn_to_online_page`.
#[no_mangle]
#[link_section = ".data.linpmem_without"]
#[allow(non_upper_case_globals)]
static linpmem_without_mem_section: u64 = 0;
