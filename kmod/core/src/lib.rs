// SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0
//! What the linpmem module decides, without a kernel in it.
//!
//! The module's shells hand every request to this core and do, through the
//! [`Kernel`] and [`Transfer`] traits, the few things that only a kernel can do.
//! The same files are an ordinary crate for tests and for user space, which
//! takes the ABI from here.
//!
//! The kernel compiles these files as a module of its own crate, so they name
//! each other by `super::` and use nothing but `core`.

#![cfg_attr(not(MODULE), no_std)]

pub mod abi;
pub mod access;
pub mod bulk;
pub mod classify;
pub mod errno;
pub mod kernel;
pub mod original;
pub mod request;
pub mod vmcoreinfo;
pub mod walk;

#[cfg(test)]
mod testing;

pub use errno::Errno;
pub use kernel::{Copied, Kernel, Statuses, Transfer};
