// SPDX-License-Identifier: GPL-2.0-only
//! What the module was loaded and built with.

use crate::module_parameters;

/// Whether every request is logged: `make DEBUG=1`.
pub(crate) const LOGS_REQUESTS: bool = cfg!(linpmem_debug);

/// The only device number wished for, or 0.
pub(crate) fn major() -> u32 {
    *module_parameters::major.value_ref()
}

/// Who may open the device beside holders of CAP_SYS_RAWIO; `u32::MAX` is nobody.
pub(crate) fn owner_uid() -> u32 {
    *module_parameters::owner_uid.value_ref()
}

/// Whether openers may ask for device memory and holes.
pub(crate) fn device_allowed() -> bool {
    *module_parameters::allow_device.value_ref() != 0
}
