// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether the module could be loaded. It is made in memory, and not loaded.

use crate::driver::fitted;
use std::path::Path;

/// Whether the module works here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModuleReadiness {
    /// Whether one is loaded already.
    pub is_loaded: bool,
    /// Whether `--driver fit` would load one: its size, or the reason why not.
    pub fits: Result<usize, String>,
    /// Whether the kernel's headers are here, with which modules are built.
    pub has_headers: bool,
    /// Whether these headers have what modules in Rust need.
    pub has_rust: bool,
}

impl ModuleReadiness {
    pub(super) fn of_this_machine() -> Self {
        let uname = rustix::system::uname();
        let release = uname.release().to_string_lossy();
        let headers = Path::new("/lib/modules").join(&*release).join("build");
        Self {
            is_loaded: linpmem::is_loaded(),
            fits: fitted()
                .map(|module| module.len())
                .map_err(|error| error.to_string()),
            has_headers: headers.join("Makefile").exists(),
            has_rust: headers.join("rust/libkernel.rmeta").exists(),
        }
    }
}
