// SPDX-License-Identifier: GPL-2.0-only
//! Memory that can be removed while the machine runs.

use crate::shim;
use core::ffi::c_int;
use kernel::{error::to_result, prelude::*};

/// While it lives, memory that goes offline is not removed before its readers are done.
///
/// # Invariants
/// The module's notifier is registered.
pub(crate) struct Watch(());

impl Watch {
    /// Must not be called again while the result lives.
    pub(crate) fn start() -> Result<Self> {
        // SAFETY: The notifier is static, and `drop` takes it back before the module goes.
        to_result(unsafe { shim::linpmem_watch_memory() })?;
        // INVARIANT: It was just registered.
        Ok(Self(()))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // SAFETY: By the type's invariants the notifier is registered.
        unsafe { shim::linpmem_unwatch_memory() };
    }
}

/// A reader of memory, for which the removal of memory waits.
///
/// # Invariants
/// The number is what `linpmem_hold_memory` returned, and was not given back.
pub(crate) struct Held(c_int);

impl Held {
    pub(crate) fn new() -> Self {
        // INVARIANT: A new number.
        // SAFETY: May be called at any time, and nests.
        Self(unsafe { shim::linpmem_hold_memory() })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // SAFETY: By the type's invariants the number is given back once.
        unsafe { shim::linpmem_release_memory(self.0) };
    }
}
