// SPDX-License-Identifier: MIT OR Apache-2.0
//! The machine that this program runs on.

use linpmem_manifest::Host;

/// This machine.
#[must_use]
pub fn this_machine() -> Host {
    let uname = rustix::system::uname();
    let text = |name: &std::ffi::CStr| name.to_string_lossy().into_owned();
    Host {
        hostname: text(uname.nodename()),
        kernel_release: text(uname.release()),
        kernel_version: text(uname.version()),
        machine: text(uname.machine()),
        machine_id: std::fs::read_to_string("/etc/machine-id")
            .ok()
            .map(|id| id.trim().to_owned())
            .filter(|id| !id.is_empty()),
        boot_id: procfs::sys::kernel::random::boot_id()
            .ok()
            .map(|id| id.trim().to_owned()),
    }
}
