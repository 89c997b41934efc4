// SPDX-License-Identifier: MIT OR Apache-2.0
//! The linpmem library for C: `linpmem.h`, `liblinpmem.a` and `liblinpmem.so`.
//!
//! The header documents the functions and their arguments; it is generated from this
//! crate. Every function returns 0 or a negative errno, and the thread's last error has
//! a message. Threads may share a handle. Unsafe code is confined to `pointers.rs` and
//! to the bodies of the exported functions, which check their pointers and call safe
//! functions.

#![allow(non_camel_case_types, reason = "these are the names in C")]

mod device;
mod failure;
mod message;
mod module;
mod pointers;
mod types;

pub use device::*;
pub use message::*;
pub use module::*;
pub use types::*;
