// SPDX-License-Identifier: GPL-2.0-only
//! The module's parameters, and its build options.

use crate::module_parameters;
use core::borrow::Borrow;

/// Whether the module logs every request (`make DEBUG=1`).
pub(crate) const LOGS_REQUESTS: bool = cfg!(linpmem_debug);

/// The character device number to register instead of /dev/linpmem, or 0.
pub(crate) fn major() -> u32 {
    number(module_parameters::major.value())
}

/// The user who may open the device without CAP_SYS_RAWIO; `u32::MAX` means none.
pub(crate) fn owner_uid() -> u32 {
    number(module_parameters::owner_uid.value())
}

/// Whether a process that opens the device may ask to read device memory and holes.
pub(crate) fn device_allowed() -> bool {
    number(module_parameters::allow_device.value()) != 0
}

/// Which copy to use: 0 lets the module choose.
pub(crate) fn copy() -> u32 {
    number(module_parameters::copy.value())
}

/// A parameter's value. Some kernels return it by value, others by reference.
fn number(value: impl Borrow<u32>) -> u32 {
    *value.borrow()
}
