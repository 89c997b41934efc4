// SPDX-License-Identifier: GPL-2.0-only
//! The kernel's resource tree.

use crate::running::Resource;
use core::ffi::{c_int, c_void};
use kernel::{bindings, ffi::c_ulong};

/// Any description.
pub(crate) fn desc_none() -> u32 {
    bindings::IORES_DESC_NONE
}

/// Reserved by the firmware.
#[cfg(CONFIG_X86_64)]
pub(crate) fn desc_reserved() -> u32 {
    bindings::IORES_DESC_RESERVED
}

/// How the kernel describes what the firmware reserves.
#[cfg(CONFIG_X86_64)]
pub(crate) fn firmware() -> [u32; 3] {
    [
        bindings::IORES_DESC_RESERVED,
        bindings::IORES_DESC_ACPI_TABLES,
        bindings::IORES_DESC_ACPI_NV_STORAGE,
    ]
}

/// Calls `visit` for the entries with these flags and this description that touch
/// `start..=last`, until it returns false.
pub(crate) fn walk<V: FnMut(Resource) -> bool>(
    desc: u32,
    flags: u64,
    start: u64,
    last: u64,
    mut visit: V,
) {
    // SAFETY:
    // - `visitor` has the signature that the walk expects and uses `arg` as what it
    //   is: `visit`, for the duration of this call;
    // - the walk takes the resource lock itself.
    unsafe {
        bindings::walk_iomem_res_desc(
            desc as c_ulong,
            flags as c_ulong,
            start,
            last,
            (&raw mut visit).cast::<c_void>(),
            Some(visitor::<V>),
        )
    };
}

/// # Safety
/// `arg` must point to a `V`, and `res` to a resource.
unsafe extern "C" fn visitor<V: FnMut(Resource) -> bool>(
    res: *mut bindings::resource,
    arg: *mut c_void,
) -> c_int {
    // SAFETY: As the caller promises.
    let (res, visit) = unsafe { (&*res, &mut *arg.cast::<V>()) };
    let goes_on = visit(Resource {
        start: res.start,
        end: res.end,
        flags: res.flags as u64,
        desc: res.desc as u32,
    });
    c_int::from(!goes_on)
}
