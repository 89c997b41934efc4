// SPDX-License-Identifier: GPL-2.0-only
//! The kernel's resource tree.

use crate::bindings;
use crate::facts::{fact, offset};
use crate::running::Resource;
use core::ffi::{c_int, c_void};

/// Any description.
pub(crate) fn desc_none() -> u32 {
    fact!(desc_none)
}

/// Reserved by the firmware.
pub(crate) fn desc_reserved() -> u32 {
    fact!(desc_reserved)
}

/// How the kernel describes what the firmware reserves.
pub(crate) fn firmware() -> [u32; 3] {
    [
        fact!(desc_reserved),
        fact!(desc_acpi_tables),
        fact!(desc_acpi_nv_storage),
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
    let arg = (&raw mut visit).cast::<c_void>();
    // SAFETY:
    // - `visitor` has the signature that the walk expects and uses `arg` as what it
    //   is: `visit`, for the duration of this call;
    // - the walk takes the resource lock itself.
    unsafe {
        bindings::walk_iomem_res_desc(u64::from(desc), flags, start, last, arg, visitor::<V>)
    };
}

/// # Safety
/// `arg` must point to a `V`, and `res` to a resource.
unsafe extern "C" fn visitor<V: FnMut(Resource) -> bool>(
    res: *mut c_void,
    arg: *mut c_void,
) -> c_int {
    // SAFETY: As the caller promises; the offsets are those of this kernel's struct.
    let (visit, resource) = unsafe {
        let resource = Resource {
            start: res.byte_add(offset!(resource_start)).cast::<u64>().read(),
            end: res.byte_add(offset!(resource_end)).cast::<u64>().read(),
            flags: res.byte_add(offset!(resource_flags)).cast::<u64>().read(),
            desc: res.byte_add(offset!(resource_desc)).cast::<u32>().read(),
        };
        (&mut *arg.cast::<V>(), resource)
    };
    c_int::from(!visit(resource))
}
