// SPDX-License-Identifier: MIT OR Apache-2.0
//! The device tree of QEMU's machine for arm64, with memory that it reserves from the
//! kernel (Documentation/devicetree/bindings/reserved-memory). x86-64 has the parameter
//! `memmap` for that, arm64 has none.

use super::builder::VmBuilder;
use crate::debian_tree::DebianTree;
use anyhow::{Context, Result, ensure};
use std::path::Path;
use std::process::Command;

/// Physical memory that the kernel leaves alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReservedMemory {
    /// Its address.
    pub start: u64,
    /// Its length in bytes.
    pub len: u64,
    /// Whether the kernel has it in its linear map, and calls it System RAM all the same.
    pub is_mapped: bool,
}

/// Writes the device tree that QEMU would give to the machine, with the reserved memory of
/// `builder`, to the file `path` in the bound folder of the machine.
pub(super) fn write(builder: &VmBuilder, tree: &DebianTree, path: &Path) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    let arch = builder.kernel.arch();
    let machine = format!("{},dumpdtb={}", builder.machine, path.display());
    let mut qemu = tree.command(arch.qemu(), &[folder]);
    qemu.args(["-nodefaults", "-display", "none"])
        .args(["-machine", &machine, "-cpu", &builder.cpu])
        .args(["-smp", &builder.smp.to_string()])
        .args(["-m", &format!("{}M", builder.memory_mib)]);
    succeed(qemu)?;
    let fdtput = |args: &[&str]| {
        let mut fdtput = tree.command("fdtput", &[folder]);
        let (options, rest) = match args {
            ["-c", rest @ ..] => (vec!["-c"], rest),
            rest => (vec!["-t", "x"], rest),
        };
        succeed({
            fdtput.args(options).arg(path).args(rest);
            fdtput
        })
    };
    let parent = "/reserved-memory";
    fdtput(&["-c", parent])?;
    fdtput(&[parent, "#address-cells", "2"])?;
    fdtput(&[parent, "#size-cells", "2"])?;
    fdtput(&[parent, "ranges"])?;
    for memory in &builder.reserved {
        let node = format!("{parent}/memory@{:x}", memory.start);
        fdtput(&["-c", &node])?;
        let cells = [memory.start, memory.len];
        let cells = cells.map(|value| [value >> 32, value & 0xffff_ffff]);
        let cells = cells.as_flattened().iter();
        let cells: Vec<String> = cells.map(|cell| format!("{cell:x}")).collect();
        let mut words = vec![node.as_str(), "reg"];
        words.extend(cells.iter().map(String::as_str));
        fdtput(&words)?;
        if !memory.is_mapped {
            fdtput(&[&node, "no-map"])?;
        }
    }
    Ok(())
}

fn succeed(mut command: Command) -> Result<()> {
    let output = command.output().context("making a device tree")?;
    ensure!(
        output.status.success(),
        "the device tree cannot be made: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}
