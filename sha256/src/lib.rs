// SPDX-License-Identifier: MIT OR Apache-2.0
//! SHA-256 of several messages at once.
//!
//! One message has to be hashed from front to back. Processors with SHA instructions do
//! that as fast as they read; others reach a seventh of it, and have vector instructions
//! that hash eight messages in the time of one and a half. [`Backend::best`] finds out
//! what is fastest here, and [`Backend::digests`] gives what the crate `sha2` gives.
//!
//! ```
//! use linpmem_sha256::Backend;
//!
//! let [first, second] = [[1; 4096], [2; 4096]];
//! let sums = Backend::best().digests(&[first, second]);
//! assert_eq!(sums, Backend::alone().digests(&[first, second]));
//! ```

#![deny(unsafe_code)]

mod backend;
mod block;
mod fastest;
mod jobs;
#[cfg(target_arch = "x86_64")]
mod rounds;
#[cfg(target_arch = "x86_64")]
mod vectors;

pub use backend::{Backend, Hasher};
pub use block::{BLOCK_BYTES, Block};

// The example of the README is a test as well.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
