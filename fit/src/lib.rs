// SPDX-License-Identifier: MIT OR Apache-2.0
//! Fits linpmem's prebuilt kernel module to a kernel.
//!
//! The module is compiled once, without any kernel's headers. What differs between kernels
//! is worked out here from what a kernel tells about itself: its types (BTF), its exports
//! and their checksums, and modules that were built with it. The result is a file as for
//! insmod. What cannot be established is refused.

#![forbid(unsafe_code)]

mod boot_image;
mod cfi;
mod checksums;
mod config;
mod crosscheck;
mod elf;
mod embedded;
mod error;
mod explanation;
mod exports;
mod fitting;
mod fleet;
mod imports;
mod kernel;
mod layout;
mod live_kernel;
mod live_note;
mod loadable;
mod module_file;
mod module_tree;
mod prebuilt;
mod returns;
mod sources;
mod structs;
mod unpack;
mod vmcoreinfo;
mod vmlinux;

pub use embedded::{embedded_object, need_object};
pub use error::FitError;
pub use explanation::{Explanation, Fact, Import};
pub use fitting::{Fitted, fit};
pub use fleet::{Member, fleet};
pub use loadable::{Refusal, check_loadable};
pub use sources::Sources;

// The example of the README is a test as well.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
