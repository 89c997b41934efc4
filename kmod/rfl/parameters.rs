// SPDX-License-Identifier: GPL-2.0-only
//! What the module was loaded and built with.

use crate::module_parameters;
use core::borrow::Borrow;

/// Whether every request is logged: `make DEBUG=1`.
pub(crate) const LOGS_REQUESTS: bool = cfg!(linpmem_debug);

/// The only device number wished for, or 0.
pub(crate) fn major() -> u32 {
    number(module_parameters::major.value())
}

/// Who may open the device beside holders of CAP_SYS_RAWIO; `u32::MAX` is nobody.
pub(crate) fn owner_uid() -> u32 {
    number(module_parameters::owner_uid.value())
}

/// Whether openers may ask for device memory and holes.
pub(crate) fn device_allowed() -> bool {
    number(module_parameters::allow_device.value()) != 0
}

/// A parameter's value, which some kernels give and others lend.
fn number(value: impl Borrow<u32>) -> u32 {
    *value.borrow()
}
