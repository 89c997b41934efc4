// SPDX-License-Identifier: GPL-2.0-only
//! The module's parameters.

use crate::bindings;
use core::cell::UnsafeCell;
use core::ffi::{c_char, c_void, CStr};

/// A number that the kernel sets before the module's first function runs.
#[repr(transparent)]
struct Number(UnsafeCell<u32>);

// SAFETY: Only the kernel writes it, before there are readers.
unsafe impl Sync for Number {}

impl Number {
    const fn new(default: u32) -> Self {
        Self(UnsafeCell::new(default))
    }

    fn get(&self) -> u32 {
        // SAFETY: See above. The compiler cannot see who writes it.
        unsafe { self.0.get().read_volatile() }
    }
}

static MAJOR: Number = Number::new(0);
static OWNER_UID: Number = Number::new(u32::MAX);
static ALLOW_DEVICE: Number = Number::new(0);
static COPY: Number = Number::new(0);

/// `struct kernel_param` (include/linux/moduleparam.h). Fitting compares it with the
/// kernel's.
#[repr(C)]
struct Parameter {
    name: *const c_char,
    module: *const u8,
    ops: *const u8,
    /// 0: not shown in sysfs.
    perm: u16,
    /// -1: set when the module is loaded, as most are.
    level: i8,
    flags: u8,
    arg: *const c_void,
}

// SAFETY: The pointers are to statics.
unsafe impl Sync for Parameter {}

macro_rules! parameters {
    ($($entry:ident: $name:literal => $number:ident),+ $(,)?) => {$(
        #[used]
        #[link_section = "__param"]
        static $entry: Parameter = Parameter {
            name: {
                const NAME: &CStr = $name;
                NAME.as_ptr()
            },
            module: &raw const bindings::__this_module,
            ops: &raw const bindings::param_ops_uint,
            perm: 0,
            level: -1,
            flags: 0,
            arg: (&raw const $number).cast::<c_void>(),
        };
    )+};
}
parameters! {
    MAJOR_ENTRY: c"major" => MAJOR,
    OWNER_ENTRY: c"owner_uid" => OWNER_UID,
    DEVICE_ENTRY: c"allow_device" => ALLOW_DEVICE,
    COPY_ENTRY: c"copy" => COPY,
}

/// The character device number to register instead of /dev/linpmem, or 0.
pub(crate) fn major() -> u32 {
    MAJOR.get()
}

/// The user who may open the device without CAP_SYS_RAWIO; `u32::MAX` means none.
pub(crate) fn owner_uid() -> u32 {
    OWNER_UID.get()
}

/// Whether a process that opens the device may ask to read device memory and holes.
pub(crate) fn device_allowed() -> bool {
    ALLOW_DEVICE.get() != 0
}

/// Which copy to use: 0 lets the module choose.
pub(crate) fn copy() -> u32 {
    COPY.get()
}
