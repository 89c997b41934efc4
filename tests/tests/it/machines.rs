// SPDX-License-Identifier: MIT OR Apache-2.0
//! The machines that tests boot.

use crate::wait;
use anyhow::{Context, Result};
use linpmem_testkit::artifacts::Artifacts;
use linpmem_testkit::cache::Cache;
use linpmem_testkit::kernel::{Kernel, KernelPackage};
use linpmem_testkit::target_machine::TargetMachine;
use linpmem_testkit::vm::{Vm, VmBuilder};
use serde_json::{Value, json};

/// The kernel that tests run on.
pub fn kernel() -> Result<Kernel> {
    Kernel::chosen_or(&Cache::open()?, &KernelPackage::newest())
}

/// Boots a machine that `configure` has changed, with the module loaded and the dumper
/// in its `PATH`.
pub fn target(configure: impl FnOnce(VmBuilder) -> VmBuilder) -> Result<TargetMachine> {
    let kernel = kernel()?;
    let artifacts = Artifacts::build(&kernel)?;
    TargetMachine::boot(configure(Vm::builder(&kernel)), &artifacts)
}

/// Boots a small machine without a disk that `configure` has changed, with nothing
/// installed.
pub fn small(configure: impl FnOnce(VmBuilder) -> VmBuilder) -> Result<Vm> {
    let kernel = kernel()?;
    configure(Vm::builder(&kernel).memory_mib(512).scratch_gib(None)).boot()
}

/// Inflates the machine's balloon until at most `bytes` of its memory are left.
pub fn inflate_balloon(vm: &Vm, bytes: u64) -> Result<()> {
    vm.execute("balloon", json!({ "value": bytes }))?;
    wait::until("the balloon inflates", || {
        let now = vm.execute("query-balloon", json!({}))?;
        let left = now.get("actual").and_then(Value::as_u64);
        Ok((left.context("no size of the balloon")? <= bytes).then_some(()))
    })
}
