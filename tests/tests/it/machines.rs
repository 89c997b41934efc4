// SPDX-License-Identifier: MIT OR Apache-2.0
//! The machines that tests boot.

use crate::wait;
use anyhow::{Context, Result, anyhow, ensure};
use linpmem_testkit::arch::Arch;
use linpmem_testkit::artifacts::{self, Artifacts};
use linpmem_testkit::cache::Cache;
use linpmem_testkit::kernel::{Kernel, KernelPackage};
use linpmem_testkit::target_machine::TargetMachine;
use linpmem_testkit::vm::{Vm, VmBuilder};
use serde_json::{Value, json};

/// The kernel that tests run on.
pub fn kernel() -> Result<Kernel> {
    kernel_of(Arch::HOST)
}

/// The kernel that tests of an architecture run on.
pub fn kernel_of(arch: Arch) -> Result<Kernel> {
    Kernel::chosen_or(&Cache::open()?, &KernelPackage::newest_of(arch))
}

/// The address of a device that every machine of an architecture has: video memory, or the
/// serial port.
pub const fn device_address(arch: Arch) -> u64 {
    match arch {
        Arch::X86_64 => 0xb_8000,
        Arch::Aarch64 => 0x900_0000,
    }
}

/// Where System RAM ends in a [`small`] machine and something else begins that nobody may
/// read: video memory, or nothing at all.
pub const fn end_of_ram(arch: Arch) -> u64 {
    match arch {
        Arch::X86_64 => 0xa_0000,
        Arch::Aarch64 => 0x6000_0000,
    }
}

/// Boots a machine that `configure` has changed, with the module loaded and the dumper
/// in its `PATH`.
pub fn target(configure: impl FnOnce(VmBuilder) -> VmBuilder) -> Result<TargetMachine> {
    let kernel = kernel()?;
    let artifacts = Artifacts::build(&kernel)?;
    TargetMachine::boot(configure(Vm::builder(&kernel)), &artifacts)
}

/// Boots a machine that `configure` has changed, on the chosen or else the newest kernel of
/// `package`, with the dumper for its architecture in its `PATH` and no module.
pub fn without_module(
    package: &KernelPackage,
    configure: impl FnOnce(VmBuilder) -> VmBuilder,
) -> Result<TargetMachine> {
    let kernel = Kernel::chosen_or(&Cache::open()?, package)?;
    println!("kernel {}", kernel.release());
    let vm = configure(Vm::builder(&kernel)).boot()?;
    TargetMachine::with_dumper(vm, &artifacts::dumper_for(kernel.arch())?)
}

/// Boots a small machine without a disk that `configure` has changed, with nothing
/// installed.
pub fn small(configure: impl FnOnce(VmBuilder) -> VmBuilder) -> Result<Vm> {
    small_of(Arch::HOST, configure)
}

/// The same for an architecture.
pub fn small_of(arch: Arch, configure: impl FnOnce(VmBuilder) -> VmBuilder) -> Result<Vm> {
    let kernel = kernel_of(arch)?;
    println!("kernel {}", kernel.release());
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

/// A block of memory that was plugged into a machine and is online.
pub struct Block {
    /// Its first address.
    pub start: u64,
    /// Its bytes.
    pub len: u64,
    state: String,
}

/// Plugs 256 MiB into a machine that has `slots=1` and `memhp_default_state`, and waits
/// until the first block of them is online.
pub fn plug_block(vm: &Vm) -> Result<Block> {
    plug(vm, 1)?.pop().context("no block")
}

/// Plugs 256 MiB into the same kind of machine, and waits until both blocks of them are
/// online. The first one is the first.
pub fn plug_two_blocks(vm: &Vm) -> Result<[Block; 2]> {
    let blocks = plug(vm, 2)?.try_into();
    blocks.map_err(|_| anyhow!("the memory has other blocks than two"))
}

/// Plugs 256 MiB, and waits for `count` blocks of them.
fn plug(vm: &Vm, count: usize) -> Result<Vec<Block>> {
    const SIZE: u64 = 256 << 20;
    let len = block_bytes(vm)?;
    let all = usize::try_from(SIZE / len)?;
    ensure!(count <= all, "the memory has {all} blocks");
    let before = blocks(vm)?;
    let backend = json!({ "qom-type": "memory-backend-ram", "id": "bank", "size": SIZE });
    vm.execute("object-add", backend)?;
    let dimm = json!({ "driver": "pc-dimm", "id": "dimm", "memdev": "bank" });
    vm.execute("device_add", dimm)?;
    let mut plugged = wait::until("the plugged memory appears", || {
        let mut now = blocks(vm)?;
        now.retain(|block| !before.contains(block));
        // While they appear one by one, a listing can have a later one and not the first.
        Ok((now.len() == all).then_some(now))
    })?;
    plugged.sort_unstable();
    plugged.truncate(count);
    let online = plugged.into_iter();
    online.map(|number| online_block(vm, number, len)).collect()
}

/// Waits until the block of memory at `start` is online.
pub fn block_at(vm: &Vm, start: u64) -> Result<Block> {
    let len = block_bytes(vm)?;
    online_block(vm, start / len, len)
}

fn online_block(vm: &Vm, number: u64, len: u64) -> Result<Block> {
    let state = format!("/sys/devices/system/memory/memory{number}/state");
    wait::until("the plugged memory comes online", || {
        let now = vm.run(&["cat", &state])?;
        Ok((now.success() && now.stdout_text()?.trim() == "online").then_some(()))
    })?;
    let start = number * len;
    Ok(Block { start, len, state })
}

fn block_bytes(vm: &Vm) -> Result<u64> {
    let size = vm.kernel_file("/sys/devices/system/memory/block_size_bytes")?;
    Ok(u64::from_str_radix(size.trim(), 16)?)
}

impl Block {
    /// The file by which it goes offline and online.
    pub fn state(&self) -> &str {
        &self.state
    }

    /// Unplugs all that [`plug_block`] has plugged.
    pub fn unplug(self, vm: &Vm) -> Result<()> {
        vm.execute("device_del", json!({ "id": "dimm" }))?;
        wait::until("the memory is unplugged", || {
            Ok(vm.execute("object-del", json!({ "id": "bank" })).ok())
        })?;
        Ok(())
    }

    /// Takes it offline. As only movable pages may use it, that works whatever else the
    /// machine does.
    pub fn take_offline(&self, vm: &Vm) -> Result<()> {
        wait::until("the plugged memory goes offline", || {
            Ok(vm.write(&self.state, "offline").ok())
        })
    }
}

/// The numbers of the kernel's memory blocks.
fn blocks(vm: &Vm) -> Result<Vec<u64>> {
    let list = vm.run(&["ls", "/sys/devices/system/memory"])?.ok()?;
    let names = list.stdout_text()?.lines();
    Ok(names
        .filter_map(|name| name.strip_prefix("memory")?.parse().ok())
        .collect())
}
