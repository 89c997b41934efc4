// SPDX-License-Identifier: MIT OR Apache-2.0
//! From C's pointers to Rust's references: checked for NULL, and as far as possible.

use crate::failure::Failure;
use std::ffi::{CStr, OsStr, c_char};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The variable at `pointer`, to be written.
///
/// # Safety
/// It is NULL, or may be written and is not used by anyone else during the call.
pub(crate) unsafe fn place<'a, T>(pointer: *mut T, name: &str) -> Result<&'a mut T, Failure> {
    // SAFETY: As the caller promises.
    unsafe { pointer.as_mut() }.ok_or_else(|| Failure::argument(&format!("{name} is NULL")))
}

/// The value at `pointer`.
///
/// # Safety
/// It is NULL, or valid and not written to during the call.
pub(crate) unsafe fn value<'a, T>(pointer: *const T, name: &str) -> Result<&'a T, Failure> {
    // SAFETY: As the caller promises.
    unsafe { pointer.as_ref() }.ok_or_else(|| Failure::argument(&format!("{name} is NULL")))
}

/// `len` bytes to be written, which are set to zero first; `None` for NULL, or for more
/// bytes than an object can have.
///
/// # Safety
/// `pointer` is NULL, or has room for `len` bytes that are not used by anyone else during
/// the call.
pub(crate) unsafe fn bytes_mut<'a>(pointer: *mut u8, len: usize) -> Option<&'a mut [u8]> {
    if pointer.is_null() || isize::try_from(len).is_err() {
        return None;
    }
    // SAFETY: Not NULL, and as the caller promises.
    unsafe { pointer.write_bytes(0, len) };
    // SAFETY: Not NULL, no longer than any object, initialised above, and as the
    // caller promises.
    Some(unsafe { std::slice::from_raw_parts_mut(pointer, len) })
}

/// A string.
///
/// # Safety
/// It is NULL, or ends with a zero and is not written to during the call.
pub(crate) unsafe fn string<'a>(pointer: *const c_char, name: &str) -> Result<&'a CStr, Failure> {
    if pointer.is_null() {
        return Err(Failure::argument(&format!("{name} is NULL")));
    }
    // SAFETY: Not NULL, and as the caller promises.
    Ok(unsafe { CStr::from_ptr(pointer) })
}

/// A path.
///
/// # Safety
/// As [`string`].
pub(crate) unsafe fn path<'a>(pointer: *const c_char, name: &str) -> Result<&'a Path, Failure> {
    // SAFETY: As the caller promises.
    let text = unsafe { string(pointer, name) }?;
    Ok(Path::new(OsStr::from_bytes(text.to_bytes())))
}
