// SPDX-License-Identifier: MIT OR Apache-2.0
//! The project's own tools: the cache of kernels and compilers, builds for a
//! kernel, virtual machines, tests and benchmarks.
//!
//! The binary `xtask` is a thin command line over this library; the
//! end-to-end tests use the library directly.

#![forbid(unsafe_code)]

pub mod acquisition;
pub mod artifacts;
pub mod bench;
pub mod cache;
pub mod checkout;
pub mod ci;
pub mod consumers;
pub mod demo;
pub mod dependencies;
pub mod dist;
pub mod drgn;
pub mod fuzz;
pub mod ground_truth;
pub mod kdir;
pub mod kernel;
pub mod kmod;
pub mod leechcore;
pub mod matrix;
pub mod processes;
pub mod pyaff4;
pub mod root;
pub mod setup;
pub mod suites;
pub mod symbol_file;
pub mod vm;
pub mod volatility;
