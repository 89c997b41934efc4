// SPDX-License-Identifier: GPL-2.0-only
//! The functions that the compiler calls to copy, fill and compare memory.

use core::arch::asm;
use core::ffi::c_int;

/// # Safety
/// As C's.
#[no_mangle]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, len: usize) -> *mut u8 {
    // SAFETY: As the caller promises; the direction flag is clear in the kernel.
    unsafe {
        asm!(
            "rep movsb",
            inout("rdi") to => _, inout("rsi") from => _, inout("rcx") len => _,
            options(nostack, preserves_flags)
        );
    }
    to
}

/// # Safety
/// As C's.
#[no_mangle]
unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, len: usize) -> *mut u8 {
    if (to as usize).wrapping_sub(from as usize) >= len {
        // SAFETY: Copying forwards overwrites nothing that is still to be copied.
        return unsafe { memcpy(to, from, len) };
    }
    // SAFETY: As the caller promises. The direction flag is clear again afterwards.
    unsafe {
        asm!(
            "std",
            "rep movsb",
            "cld",
            inout("rdi") to.wrapping_add(len).wrapping_sub(1) => _,
            inout("rsi") from.wrapping_add(len).wrapping_sub(1) => _,
            inout("rcx") len => _,
            options(nostack)
        );
    }
    to
}

/// # Safety
/// As C's.
#[no_mangle]
unsafe extern "C" fn memset(to: *mut u8, byte: c_int, len: usize) -> *mut u8 {
    // SAFETY: As the caller promises; the direction flag is clear in the kernel.
    unsafe {
        asm!(
            "rep stosb",
            inout("rdi") to => _, inout("rcx") len => _, in("al") byte as u8,
            options(nostack, preserves_flags)
        );
    }
    to
}

/// # Safety
/// As C's.
#[no_mangle]
unsafe extern "C" fn memcmp(left: *const u8, right: *const u8, len: usize) -> c_int {
    let mut at = 0;
    while at < len {
        // SAFETY: Both have `len` bytes. The reads are volatile so that the compiler does
        // not turn the loop into a call of this function.
        let (left, right) =
            unsafe { (left.add(at).read_volatile(), right.add(at).read_volatile()) };
        if left != right {
            return c_int::from(left) - c_int::from(right);
        }
        at += 1;
    }
    0
}

/// # Safety
/// As `memcmp`.
#[no_mangle]
unsafe extern "C" fn bcmp(left: *const u8, right: *const u8, len: usize) -> c_int {
    // SAFETY: As the caller promises.
    unsafe { memcmp(left, right, len) }
}
