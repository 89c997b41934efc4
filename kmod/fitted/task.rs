// SPDX-License-Identifier: GPL-2.0-only
//! The task that makes the request, and others.

use crate::bindings;
use crate::facts::offset;
use crate::linpmem_core::layout::PIDTYPE_PID;
use core::arch::asm;
use core::ffi::c_void;
use core::ptr::NonNull;
use core::sync::atomic::{compiler_fence, AtomicI32, Ordering};

/// A task that exists as long as this value.
#[derive(Clone, Copy)]
pub(crate) struct Task(NonNull<c_void>);

/// The task that runs this code.
pub(crate) fn current() -> Task {
    let variable = (&raw const bindings::current_task) as usize;
    let offset = offset!(current_offset);
    let task: *mut c_void;
    // SAFETY: The processor's own copy of the variable is at this offset of `gs`. Its value
    // is the same whichever processor the task runs on.
    unsafe {
        asm!(
            "mov {task}, gs:[{at}]",
            task = out(reg) task,
            at = in(reg) variable.wrapping_add(offset),
            options(nostack, preserves_flags, readonly)
        );
        // SAFETY: There always is one.
        Task(NonNull::new_unchecked(task))
    }
}

impl Task {
    fn field<T>(self, offset: usize) -> *mut T {
        // SAFETY: The offset is that of a field.
        unsafe { self.0.as_ptr().byte_add(offset).cast() }
    }

    /// Whether a signal waits that the task does not block. The field that the kernel
    /// itself asks has a place and a bit that differ between kernels; this is what it is
    /// made from. A freezer or a debugger is not seen: they wait for the end of the request.
    pub(crate) fn is_signalled(self) -> bool {
        // SAFETY: The current task's structs live as long as it runs.
        unsafe {
            let own = self.field::<u64>(offset!(task_pending)).read_volatile();
            let blocked = self.field::<u64>(offset!(task_blocked)).read_volatile();
            let group: *mut u8 = self.field::<*mut u8>(offset!(task_signal)).read_volatile();
            let shared = group
                .byte_add(offset!(signal_shared_pending))
                .cast::<u64>()
                .read_volatile();
            (own | shared) & !blocked != 0
        }
    }

    /// The effective user, in the first user namespace.
    pub(crate) fn user(self) -> u32 {
        // SAFETY: Only the task itself replaces its credentials.
        unsafe {
            let cred: *mut u8 = self.field::<*mut u8>(offset!(task_cred)).read_volatile();
            cred.byte_add(offset!(cred_euid)).cast::<u32>().read()
        }
    }

    /// The kernel address of the top page table.
    fn page_table(self) -> Option<u64> {
        // SAFETY: The task exists. The memory is released after its field was read.
        unsafe {
            let mm = bindings::get_task_mm(self.0.as_ptr());
            if mm.is_null() {
                return None;
            }
            let table = mm.byte_add(offset!(mm_pgd)).cast::<u64>().read();
            bindings::mmput(mm);
            Some(table)
        }
    }
}

/// The kernel address of the top page table of process `pid`; 0 is the current one.
pub(crate) fn page_table(pid: i32) -> Option<u64> {
    if pid == 0 {
        return current().page_table();
    }
    // SAFETY: These take and release references, and accept null.
    let task = unsafe {
        let found = bindings::find_get_pid(pid);
        let task = bindings::get_pid_task(found, PIDTYPE_PID);
        bindings::put_pid(found);
        Task(NonNull::new(task)?)
    };
    let table = task.page_table();
    // SAFETY: `get_pid_task` took a reference, which is given back here.
    unsafe {
        let count = &*task.field::<AtomicI32>(offset!(task_usage));
        if count.fetch_sub(1, Ordering::AcqRel) == 1 {
            bindings::__put_task_struct(task.0.as_ptr());
        }
    }
    table
}

/// While it lives, page faults of this task are not handled: an access to memory that is
/// not present fails.
pub(crate) struct NoFaults(());

impl NoFaults {
    pub(crate) fn new() -> Self {
        count(1);
        Self(())
    }
}

impl Drop for NoFaults {
    fn drop(&mut self) {
        count(-1);
    }
}

/// Adds to the counter that the kernel's `pagefault_disable()` increments.
fn count(by: i32) {
    let counter = current().field::<i32>(offset!(task_pagefault_disabled));
    compiler_fence(Ordering::SeqCst);
    // SAFETY: Only the task itself uses the counter.
    unsafe { counter.write_volatile(counter.read_volatile() + by) };
    compiler_fence(Ordering::SeqCst);
}
