// SPDX-License-Identifier: MIT OR Apache-2.0
//! The whole, end to end. One virtual machine a scenario.
//!
//! `cargo xtask setup` must have run; a test that lacks something fails.

mod consumers;
mod kmod;
mod pattern;
mod pipeline;
mod pmem;
mod pyaff4;
mod sources;
mod vm;

use anyhow::Result;
use xtask::acquisition::Subject;
use xtask::artifacts::Artifacts;
use xtask::cache::Cache;
use xtask::kernel::Kernel;
use xtask::vm::{Vm, VmBuilder};

/// The kernel that tests run on.
fn kernel() -> Result<Kernel> {
    Kernel::chosen(&Cache::open()?)
}

/// Boots a machine as `shape` wants it, with the module loaded and the dumper
/// in its `PATH`.
fn subject(shape: impl FnOnce(VmBuilder) -> VmBuilder) -> Result<Subject> {
    let kernel = kernel()?;
    let artifacts = Artifacts::build(&kernel)?;
    Subject::boot(shape(Vm::builder(&kernel)), &artifacts)
}
