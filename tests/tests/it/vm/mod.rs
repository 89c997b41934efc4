// SPDX-License-Identifier: MIT OR Apache-2.0
//! Acquisitions through the module, compared with QEMU's view of the memory.

mod acquisition;
pub mod drgn;
mod identity;
mod layouts;
mod refusal;
mod reserved;
mod trouble;
