// SPDX-License-Identifier: MIT OR Apache-2.0
//! Loading and unloading the module.

use crate::failure::Failure;
use crate::message::code;
use crate::pointers::{path, string};
use ::linpmem::{LoadOptions, load, unload};
use std::ffi::{CStr, c_char, c_int};
use std::path::Path;

/// Loads the module file at `module` (.ko, also compressed with xz, zstd or gzip) and
/// waits until /dev/linpmem exists. `parameters` is NULL, or module parameters
/// separated by blanks, such as "owner_uid=1000 allow_device=1".
///
/// # Safety
/// `module` and `parameters` are NULL or strings.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn linpmem_load_module(
    module: *const c_char,
    parameters: *const c_char,
) -> c_int {
    let parameters = match parameters.is_null() {
        true => Ok(c""),
        // SAFETY: As the caller promises.
        false => unsafe { string(parameters, "parameters") },
    };
    // SAFETY: As the caller promises.
    code(load_module(unsafe { path(module, "module") }, parameters))
}

fn load_module(
    path: Result<&Path, Failure>,
    parameters: Result<&CStr, Failure>,
) -> Result<(), Failure> {
    let text = parameters?
        .to_str()
        .map_err(|_| Failure::argument("parameters is not UTF-8"))?;
    let options = text
        .split_whitespace()
        .fold(LoadOptions::default(), |options, word| {
            options.parameter(word)
        });
    load(path?, &options)?;
    Ok(())
}

/// Unloads the module and removes its node.
#[unsafe(no_mangle)]
pub extern "C" fn linpmem_unload_module() -> c_int {
    code(unload().map_err(Failure::from))
}

/// 1 if a module called linpmem is loaded, else 0.
#[unsafe(no_mangle)]
pub extern "C" fn linpmem_is_loaded() -> c_int {
    c_int::from(::linpmem::is_loaded())
}
