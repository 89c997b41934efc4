// SPDX-License-Identifier: MIT OR Apache-2.0
//! The module on arm64, built for kernels with Rust.

mod acquired;
mod clients;

mod firmware;
mod registers;
mod shared;
mod translation;

use super::{acquire_ram, target};
use anyhow::Result;
use linpmem_testkit::artifacts;
use linpmem_testkit::target_machine::TargetMachine;
use linpmem_testkit::vm::VmBuilder;

/// Boots a machine that `configure` has changed, with the module loaded and the dumper in
/// its `PATH`.
fn with_module(configure: impl FnOnce(VmBuilder) -> VmBuilder) -> Result<TargetMachine> {
    let target = target(|machine| configure(machine.memory_mib(512)))?;
    let vm = &target.vm;
    vm.insmod(&artifacts::module(vm.kernel())?, "")?;
    Ok(target)
}
