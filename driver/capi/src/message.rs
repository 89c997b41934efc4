// SPDX-License-Identifier: MIT OR Apache-2.0
//! What went wrong, in words.

use crate::pointers;
use std::cell::RefCell;
use std::ffi::{CString, c_char, c_int};

thread_local! {
    static LAST: RefCell<CString> = RefCell::default();
}

/// A failure: an errno and a message.
#[derive(Debug)]
pub(crate) struct Failure {
    errno: i32,
    message: String,
}

const EINVAL: i32 = 22;

impl Failure {
    pub(crate) fn new(errno: i32, message: impl Into<String>) -> Self {
        Self {
            errno,
            message: message.into(),
        }
    }

    /// An argument that cannot be.
    pub(crate) fn argument(message: &str) -> Self {
        Self::new(EINVAL, message)
    }
}

macro_rules! failures {
    ($($error:ty),+ $(,)?) => {$(
        impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self::new(error.errno().get(), error.to_string())
            }
        }
    )+};
}
failures!(
    ::linpmem::OpenError,
    ::linpmem::InfoError,
    ::linpmem::RequestError,
    ::linpmem::LoadError,
    ::linpmem::UnloadError,
);

/// 0, or the negative errno of a failure whose message is kept.
pub(crate) fn code(outcome: Result<(), Failure>) -> c_int {
    match outcome {
        Ok(()) => 0,
        Err(failure) => {
            let bytes: Vec<u8> = failure.message.bytes().filter(|&byte| byte != 0).collect();
            LAST.with_borrow_mut(|last| *last = CString::new(bytes).unwrap_or_default());
            failure.errno.checked_neg().unwrap_or(i32::MIN)
        }
    }
}

/// What the last call of this thread that failed has to say: what failed, on
/// what, and what to do. Never NULL; empty if none has failed. Good until the
/// next call of this thread fails.
#[unsafe(no_mangle)]
pub extern "C" fn linpmem_last_error() -> *const c_char {
    LAST.with_borrow(|last| last.as_ptr())
}

/// Writes what linpmem_last_error() gives to `text`, cut to `size` bytes with
/// the zero at its end. Returns the length that the whole message has, without
/// the zero.
///
/// # Safety
/// `text` is NULL or has room for `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn linpmem_error_text(text: *mut c_char, size: usize) -> usize {
    LAST.with_borrow(|last| {
        let message = last.as_bytes();
        // SAFETY: As the caller promises.
        if let Some(room) = unsafe { pointers::bytes_mut(text.cast::<u8>(), size) } {
            let len = message.len().min(size.saturating_sub(1));
            for (to, &from) in room.iter_mut().zip(message.iter().take(len).chain([&0])) {
                *to = from;
            }
        }
        message.len()
    })
}
