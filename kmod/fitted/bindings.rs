// SPDX-License-Identifier: GPL-2.0-only
//! The kernel's exports that the module uses. Fitting checks each of them against the
//! kernel's own list. A few have other names on other kernels, and those for which
//! [`absent`](crate::absent) has something can be missing.

use core::ffi::{c_char, c_int, c_uint, c_ulong, c_void};

extern "C" {
    pub(crate) fn _printk(format: *const c_char, ...) -> c_int;

    // The device.
    pub(crate) fn misc_register(misc: *mut c_void) -> c_int;
    pub(crate) fn misc_deregister(misc: *mut c_void);
    pub(crate) fn __register_chrdev(
        major: c_uint,
        base: c_uint,
        count: c_uint,
        name: *const c_char,
        fops: *const c_void,
    ) -> c_int;
    pub(crate) fn __unregister_chrdev(
        major: c_uint,
        base: c_uint,
        count: c_uint,
        name: *const c_char,
    );
    pub(crate) fn fixed_size_llseek(
        file: *mut c_void,
        offset: i64,
        whence: c_int,
        size: i64,
    ) -> i64;
    pub(crate) fn capable(capability: c_int) -> bool;
    pub(crate) fn security_locked_down(what: c_int) -> c_int;

    // Tasks.
    pub(crate) fn __cond_resched() -> c_int;
    pub(crate) fn msleep(milliseconds: c_uint);
    pub(crate) fn find_get_pid(pid: c_int) -> *mut c_void;
    pub(crate) fn put_pid(pid: *mut c_void);
    pub(crate) fn get_pid_task(pid: *mut c_void, kind: c_uint) -> *mut c_void;
    pub(crate) fn __put_task_struct(task: *mut c_void);
    pub(crate) fn get_task_mm(task: *mut c_void) -> *mut c_void;
    pub(crate) fn mmput(mm: *mut c_void);
    /// A variable of each processor, so this is not its address.
    pub(crate) static current_task: u8;

    // Memory.
    pub(crate) fn walk_iomem_res_desc(
        desc: c_ulong,
        flags: c_ulong,
        start: u64,
        end: u64,
        arg: *mut c_void,
        visit: unsafe extern "C" fn(*mut c_void, *mut c_void) -> c_int,
    ) -> c_int;
    pub(crate) fn region_intersects(
        start: u64,
        size: usize,
        flags: c_ulong,
        desc: c_ulong,
    ) -> c_int;
    pub(crate) fn memremap(start: u64, size: usize, flags: c_ulong) -> *mut c_void;
    pub(crate) fn memunmap(mapping: *mut c_void);
    pub(crate) fn ioremap(start: u64, size: c_ulong) -> *mut c_void;
    pub(crate) fn ioremap_cache(start: u64, size: c_ulong) -> *mut c_void;
    pub(crate) fn iounmap(mapping: *mut c_void);
    pub(crate) fn vmap(
        pages: *const *const c_void,
        count: c_uint,
        flags: c_ulong,
        protection: u64,
    ) -> *mut c_void;
    pub(crate) fn vunmap(mapping: *const c_void);
    pub(crate) fn lookup_address(address: c_ulong, level: *mut c_uint) -> *const u64;
    pub(crate) fn pfn_to_online_page(pfn: c_ulong) -> *const c_void;
    pub(crate) fn copy_from_kernel_nofault(
        to: *mut c_void,
        from: *const c_void,
        len: usize,
    ) -> c_int;
    pub(crate) fn register_memory_notifier(block: *mut c_void) -> c_int;
    pub(crate) fn unregister_memory_notifier(block: *mut c_void);

    // The machine.
    pub(crate) fn cc_platform_has(attribute: c_uint) -> bool;
    pub(crate) fn paddr_vmcoreinfo_note() -> u64;
    pub(crate) static page_offset_base: u64;
    pub(crate) static vmemmap_base: u64;
    pub(crate) static phys_base: u64;
    pub(crate) static sme_me_mask: u64;
    /// `enum xen_domain_type`.
    pub(crate) static xen_domain_type: c_uint;
    /// `struct cpuinfo_x86`.
    pub(crate) static boot_cpu_data: u8;
    /// `struct efi`.
    pub(crate) static efi: u8;
    /// `struct mem_section **`.
    pub(crate) static mem_section: *const *const u8;

    // Addresses alone.
    pub(crate) static param_ops_uint: u8;
    pub(crate) static __this_module: u8;
}
