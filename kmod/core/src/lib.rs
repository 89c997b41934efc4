// SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0
//! The decisions of the linpmem module, without a kernel.
//!
//! The module's shell passes every request to this core, and implements the [`Kernel`]
//! and [`Transfer`] traits: the few things that only a kernel can do. The same files
//! are an ordinary crate for tests and for user space, which takes the ABI from here.
//!
//! The kernel's build compiles these files as a module of the shell's crate, so they
//! refer to each other by `super::` and use only `core`.

#![cfg_attr(not(MODULE), no_std)]

pub mod abi;
pub mod access;
pub mod bulk;
pub mod classify;
pub mod errno;
pub mod ioctl;
pub mod kernel;
pub mod layout;
pub mod original;
pub mod page;
pub mod plain;
pub mod request;
pub mod resource;
pub mod run;
pub mod unaccepted;
pub mod vmcoreinfo;
pub mod walk;

#[cfg(test)]
mod testing;

pub use errno::Errno;
pub use kernel::{Copied, Kernel, Transfer};

// The example of the README is a test as well.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
