// SPDX-License-Identifier: MIT OR Apache-2.0
//! The linpmem library for C: `linpmem.h`, `liblinpmem.a` and `liblinpmem.so`.
//!
//! The functions and what they take are documented in the header, which is made
//! from this crate. Every function returns 0 or a negative errno; the thread's
//! last error has a message. A handle may be shared by threads. The unsafe code
//! is in `pointers.rs` and at the functions' borders; what they do is safe.

#![allow(non_camel_case_types, reason = "these are C's names")]

mod device;
mod message;
mod module;
mod pointers;
mod types;

pub use device::*;
pub use message::*;
pub use module::*;
pub use types::*;
