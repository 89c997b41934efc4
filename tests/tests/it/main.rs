// SPDX-License-Identifier: MIT OR Apache-2.0
//! The end-to-end tests. Each scenario has a virtual machine of its own.
//!
//! `cargo xtask setup` must have run; a test fails if anything is missing.

mod arm64;
mod away;
mod consumers;
mod contains;
mod crates;
mod crowded;
mod dkms;
mod fitted;
mod host_dumper;
mod inspected;
mod kmod;
mod machines;
mod mounted_image;
mod pattern;
mod pipeline;
mod pmem;
mod pyaff4;
mod release;
mod sources;
mod vm;
mod wait;
