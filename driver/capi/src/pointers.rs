// SPDX-License-Identifier: MIT OR Apache-2.0
//! C's pointers as Rust has them: checked for NULL, and for what else can be seen.

use crate::message::Failure;
use std::ffi::{CStr, OsStr, c_char};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The place that `pointer` names.
///
/// # Safety
/// It is NULL, or one that may be written and that nobody else uses meanwhile.
pub(crate) unsafe fn place<'a, T>(pointer: *mut T, name: &str) -> Result<&'a mut T, Failure> {
    // SAFETY: As the caller promises.
    unsafe { pointer.as_mut() }.ok_or_else(|| Failure::argument(&format!("{name} is NULL")))
}

/// What `pointer` names.
///
/// # Safety
/// It is NULL, or a valid one that nobody writes to meanwhile.
pub(crate) unsafe fn value<'a, T>(pointer: *const T, name: &str) -> Result<&'a T, Failure> {
    // SAFETY: As the caller promises.
    unsafe { pointer.as_ref() }.ok_or_else(|| Failure::argument(&format!("{name} is NULL")))
}

/// `len` bytes to be written, which are zero at first; none for NULL, or for more
/// than there can be.
///
/// # Safety
/// `pointer` is NULL, or has room for `len` bytes that nobody else uses
/// meanwhile.
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
/// It is NULL, or ends with a zero and is not written to meanwhile.
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
