// SPDX-License-Identifier: MIT OR Apache-2.0
//! Error messages for C.

use crate::failure::Failure;
use crate::pointers;
use std::cell::RefCell;
use std::ffi::{CString, c_char, c_int};

thread_local! {
    static LAST: RefCell<CString> = RefCell::default();
}

/// 0, or the negative errno of a failure; its message is kept.
pub(crate) fn code(outcome: Result<(), Failure>) -> c_int {
    match outcome {
        Ok(()) => 0,
        Err(failure) => {
            LAST.with_borrow_mut(|last| *last = c_string(&failure.message));
            -failure.errno.get()
        }
    }
}

/// `text` without zero bytes, which would end it.
fn c_string(text: &str) -> CString {
    let bytes: Vec<u8> = text.bytes().filter(|&byte| byte != 0).collect();
    // Only a zero byte makes this fail, and there is none left.
    CString::new(bytes).unwrap_or_default()
}

/// The message of the last call of this thread that failed: what failed, on what, and
/// what to do. Never NULL; empty if no call has failed. Valid until the next call of
/// this thread fails.
#[unsafe(no_mangle)]
pub extern "C" fn linpmem_last_error() -> *const c_char {
    LAST.with_borrow(|last| last.as_ptr())
}

/// Copies the message of linpmem_last_error() to `text`, truncated to `size` bytes
/// including the zero at its end. Returns the length of the whole message without the
/// zero.
///
/// # Safety
/// `text` is NULL or has room for `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn linpmem_error_text(text: *mut c_char, size: usize) -> usize {
    LAST.with_borrow(|last| {
        let message = last.as_bytes();
        // SAFETY: As the caller promises.
        let room = unsafe { pointers::bytes_mut(text.cast::<u8>(), size) };
        // All of it is zero so far, and its last byte stays so.
        if let Some((_, room)) = room.and_then(<[u8]>::split_last_mut) {
            for (to, &from) in room.iter_mut().zip(message) {
                *to = from;
            }
        }
        message.len()
    })
}
