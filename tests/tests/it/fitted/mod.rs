// SPDX-License-Identifier: MIT OR Apache-2.0
//! The prebuilt module, fitted by the programs that carry it, on the kernels of servers: all
//! that a machine has is its kernel, its kernel's modules, and one program of ours.
//!
//! The module itself is tested by `kmod`, which runs with the fitted one as well.

mod one_binary;
mod other_kernel;
mod vectors;

use anyhow::{Context, Result};
use linpmem_testkit::cache::Cache;
use linpmem_testkit::kernel::{Kernel, KernelPackage};
use linpmem_testkit::vm::{Vm, VmBuilder};
use std::fs;
use std::path::{Path, PathBuf};

/// A machine with the chosen or else the stable kernel, which `configure` has changed, with
/// the files that a system has of its kernel.
fn machine(configure: impl FnOnce(VmBuilder) -> VmBuilder) -> Result<Vm> {
    let kernel = Kernel::chosen_or(&Cache::open()?, &KernelPackage::stable())?;
    println!("kernel {}", kernel.release());
    let vm = configure(Vm::builder(&kernel)).boot()?;
    let release = kernel.release();
    vm.push(&kernel.vmlinuz(), &format!("/boot/vmlinuz-{release}"))?;
    // One stands for all.
    let module = first_module(&kernel.modules())?.context("the kernel has no modules")?;
    let name = module.file_name().context("a file without a name")?;
    let place = format!("/lib/modules/{release}/kernel/{}", name.to_string_lossy());
    vm.push(&module, &place)?;
    Ok(vm)
}

/// The first module in a folder or below, by name.
fn first_module(folder: &Path) -> Result<Option<PathBuf>> {
    let mut entries = fs::read_dir(folder)?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<_>>>()?;
    entries.sort();
    for path in entries {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.contains(".ko") {
            return Ok(Some(path));
        }
        if path.is_dir() && !path.is_symlink() {
            if let Some(found) = first_module(&path)? {
                return Ok(Some(found));
            }
        }
    }
    Ok(None)
}

/// All files of the machine outside of what its kernel makes up, and its modules.
fn traces(vm: &Vm) -> Result<Vec<String>> {
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
