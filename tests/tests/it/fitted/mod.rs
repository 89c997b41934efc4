// SPDX-License-Identifier: MIT OR Apache-2.0
//! The prebuilt module, fitted by the programs that carry it, on the kernels of servers: all
//! that a machine has is its kernel, its kernel's modules, and one program of ours.
//!
//! The module itself is tested by `kmod`, which runs with the fitted one as well.

mod one_binary;
mod other_kernel;
mod vectors;

use anyhow::Result;
use linpmem_testkit::cache::Cache;
use linpmem_testkit::kernel::{Kernel, KernelPackage};
use linpmem_testkit::kernel_files;
use linpmem_testkit::vm::{Vm, VmBuilder};

/// A machine with the chosen or else the stable kernel, which `configure` has changed, with
/// the files that a system has of its kernel.
pub fn machine(configure: impl FnOnce(VmBuilder) -> VmBuilder) -> Result<Vm> {
    let kernel = Kernel::chosen_or(&Cache::open()?, &KernelPackage::stable())?;
    println!("kernel {}", kernel.release());
    let vm = configure(Vm::builder(&kernel)).boot()?;
    kernel_files::push(&vm)?;
    Ok(vm)
}

/// All files of the machine outside of what its kernel makes up, and its modules.
pub fn traces(vm: &Vm) -> Result<Vec<String>> {
    let mut traces = Vec::new();
    for folder in [
        "/",
        "/bin",
        "/boot",
        "/dev",
        "/lib/modules",
        "/sys/module",
        "/tmp",
    ] {
        let list = vm.run(&["ls", folder])?.ok()?;
        let mut names: Vec<&str> = list.stdout_text()?.split_whitespace().collect();
        names.sort_unstable();
        traces.push(format!("{folder}: {}", names.join(" ")));
    }
    Ok(traces)
}
