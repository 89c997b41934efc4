// SPDX-License-Identifier: MIT OR Apache-2.0
//! What linpmem's end-to-end tests are built on: kernels and tools in a cache,
//! virtual machines, ground truth to compare an image with, and other people's
//! programs that have to open it.
//!
//! `cargo xtask setup` fills the cache; this crate only reads it. What is under test
//! is built by `cargo xtask`, as a user would build it ([`artifacts`]).

#![forbid(unsafe_code)]

pub mod arch;
pub mod artifacts;
pub mod browser;
pub mod build_kind;
pub mod cache;
pub mod checkout;
pub mod consumers;
pub mod cross;
pub mod debian_tree;
pub mod ground_truth;
pub mod held_pages;
pub mod kernel;
pub mod kernel_files;
pub mod modinfo;
pub mod processes;
pub mod receiver;
pub mod searchers;
pub mod stores;
pub mod target_machine;
pub mod timestamp_authority;
pub mod troubled_line;
pub mod vm;
pub mod vouchers;

pub use linpmem_guest::{Random, content};
