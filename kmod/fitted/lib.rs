// SPDX-License-Identifier: GPL-2.0-only
//! The linpmem module for every kernel: compiled once, without any kernel's headers, and
//! fitted to the running kernel by `linpmem-fit`.
//!
//! It is the same core and, in ../shell/, the same use of the kernel as in the module for
//! kernels with Rust. What is different here: the kernel is reached through a handful of its
//! plain C exports ([`bindings`]), and what differs between kernels is looked up in a table
//! ([`facts`]) that fitting fills in. [`shim`], [`resources`] and [`descriptors`] are what
//! the other shell has in C.
#![no_std]
#![deny(unsafe_op_in_unsafe_fn)]

mod absent;
#[path = "../shell/x86.rs"]
mod arch;
mod bindings;
mod copy;
mod descriptors;
mod device;
#[path = "../shell/device_memory.rs"]
mod device_memory;
mod facts;
mod hotplug;
#[path = "../shell/ioctl.rs"]
mod ioctl;
#[allow(dead_code, unreachable_pub, unused_imports)]
#[path = "../core/src/lib.rs"]
mod linpmem_core;
#[path = "../shell/mapping.rs"]
mod mapping;
mod memory;
mod modinfo;
mod parameters;
mod resources;
#[path = "../shell/running.rs"]
mod running;
mod shim;
mod task;
mod transfer;
mod user;
mod vmcoreinfo;

use core::ffi::{c_char, c_int};
use linpmem_core::Errno;

/// Called by the kernel when the module is loaded.
#[no_mangle]
extern "C" fn init_module() -> c_int {
    if !facts::is_fitted() {
        log(c"\x013linpmem: this module was not fitted to a kernel: see linpmem-fit\n");
        return -Errno::ENOEXEC.get();
    }
    match start() {
        Ok(()) => {
            log(c"\x016linpmem: loaded\n");
            0
        }
        Err(errno) => -errno.get(),
    }
}

/// Called by the kernel when the module is removed.
#[no_mangle]
extern "C" fn cleanup_module() {
    device::unregister();
    hotplug::unwatch();
    log(c"\x016linpmem: unloaded\n");
}

fn start() -> Result<(), Errno> {
    vmcoreinfo::read()?;
    copy::choose(parameters::copy())?;
    user::measure_address_space();
    hotplug::watch()?;
    device::register(parameters::major()).inspect_err(|_| hotplug::unwatch())
}

/// Writes a line to the kernel's log. It begins with its level.
fn log(line: &'static core::ffi::CStr) {
    // SAFETY: The line contains no `%`, so no further arguments are read.
    unsafe { bindings::_printk(line.as_ptr().cast::<c_char>()) };
}

/// Stops the thread: the core was written such that this cannot be reached.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // SAFETY: An invalid instruction, which the kernel reports.
    unsafe { core::arch::asm!("ud2", options(noreturn)) }
}
